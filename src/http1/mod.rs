//! The protocol without I/O: bytes in, values out. Nothing in this folder uses a
//! socket, a thread, a clock or the log.
//!
//! # The rules
//!
//! The tables list every rule of RFC 9112, sections 2 to 9, that binds a server,
//! what this server does, and the test in `tests/it` or beside the code that shows
//! it. Where the RFC lets a server either read a doubtful message or refuse it,
//! this server refuses: a message that two parsers on the way read differently is
//! how requests are smuggled. The response to a refused request has its status and
//! `Connection: close`, and the server reads no request behind it.
//!
//! | section | rule | the server | test |
//! |---|---|---|---|
//! | 2.1 | a message is octets, not characters | does not decode targets and fields | `a_bare_cr_or_a_nul_is_refused` |
//! | 2.2 | an empty line before the request line is to be ignored | ignores any number of them; they do not keep a connection open | `empty_lines_before_a_request_are_ignored` |
//! | 2.2 | a bare LF may end a line | 400 | `a_bare_lf_ends_no_line` |
//! | 2.2 | a bare CR is invalid | 400 | `a_bare_cr_or_a_nul_is_refused` |
//! | 2.2 | blanks before the first field: reject, or drop these lines | 400 | `blanks_before_the_first_field_are_refused` |
//! | 2.2 | bytes that are not HTTP get a 400 | 400 | `a_head_that_is_not_http_is_400` |
//! | 2.3 | the version is `HTTP/1.1`, case-sensitive, one digit each | otherwise 400; `HTTP/01.01` and `HTTP/1.10` too | `a_request_line_has_three_parts_and_two_spaces` |
//! | 2.3 | an unsupported major version may get 505; a higher minor version should be read as the supported one | 505 for both: no such version exists | `another_major_or_minor_version_is_505` |
//! | 3 | request lines may be parsed leniently | requires single spaces, and no blanks within the target; otherwise 400 | `a_request_line_has_three_parts_and_two_spaces` |
//! | 3 | a line too long to be read is 414; 8000 octets should be supported | 414 beyond `target_bytes_max`, 8 KiB | `a_head_is_bounded_in_every_direction` |
//! | 3 | a method longer than any that is implemented should be 501 | 501 beyond 32 bytes, whether the method has ended or not | `a_method_longer_than_any_is_501` |
//! | 3.1 | an unknown method is 501, a forbidden one 405 | passes any token to the handler, or to the router's 405 | `a_method_without_a_handler_is_a_405_that_names_the_allowed_methods` |
//! | 3.2 | no `Host` in HTTP/1.1, several, or an invalid one is 400 | 400; several or an invalid one in HTTP/1.0 too | `a_host_is_there_once_and_valid` |
//! | 3.2 | a host is a name, with escapes, or an address; the port is digits (RFC 3986 section 3.2.2) | checks `Host` and targets alike; 400 for a port beyond 65535, a zone, and a port without a host | `a_host_is_there_once_and_valid`, `a_host_is_a_name_or_an_address_and_perhaps_a_port` |
//! | 3.2.1 | the origin-form is a path with an optional query | accepts it | `a_target_is_in_one_of_four_forms` |
//! | 3.2.1 | path and query are those of RFC 3986 | accepts them, and in both also UTF-8, and what browsers do not encode: ``[ ] \ ^ { | } ` `` and a `%` that begins no escape; 400 for all else, such as `"`, `<` and `>` | `one_rule_for_path_and_query` |
//! | 3.2.2 | the absolute-form must be accepted | accepts it; 400 for userinfo, no host, or a scheme other than `http` | `a_target_is_in_one_of_four_forms` |
//! | 3.2.2 | the host of an absolute target counts, not the field | replaces the field | `the_host_of_the_target_counts` |
//! | 3.2.3 | the authority-form is for CONNECT | 501, CONNECT is not supported; 400 without a port, or with another method | `connect_is_501`, `a_target_is_in_one_of_four_forms` |
//! | 3.2.4 | the asterisk-form is for OPTIONS | otherwise 400 | `a_target_is_in_one_of_four_forms` |
//! | 4 | the space behind the status stays though no reason follows | sends it | `a_status_without_a_name_has_its_space` |
//! | 5 | a field is a token, a colon, a value | otherwise 400 | `a_field_is_a_token_and_a_colon_with_no_blank_between` |
//! | 5 | fields that are too large may get a 4xx | 431 beyond `head_bytes_max` or `headers_max` | `a_head_is_bounded_in_every_direction` |
//! | 5.1 | a blank before the colon is 400 | 400 | `a_field_is_a_token_and_a_colon_with_no_blank_between` |
//! | 5.1 | blanks around a value are not part of it | drops them | `a_head_ends_at_its_empty_line` |
//! | 5.2 | a folded line: reject with 400, or unfold | 400 | `a_folded_line_is_refused` |
//! | 6.1 | chunked is the last coding, and applied once | otherwise 400 | `chunked_is_the_last_coding_once_and_alone` |
//! | 6.1 | a coding that is not understood should be 501 | 501 for all but chunked | `chunked_is_the_last_coding_once_and_alone` |
//! | 6.1 | `Transfer-Encoding` in HTTP/1.0 is faulty framing | 400 | `http_1_0_has_no_transfer_codings` |
//! | 6.1 | `Transfer-Encoding` beside `Content-Length` ought to be an error | 400 | `a_length_beside_a_transfer_coding_is_refused` |
//! | 6.1 | no `Transfer-Encoding` in a response with status 1xx or 204, or to HTTP/1.0 | sends none | `statuses_without_a_body_have_no_framing`, `http_1_0_gets_a_body_without_length_until_the_close` |
//! | 6.2 | no `Content-Length` beside `Transfer-Encoding` in a response | frames the response itself, and drops the handler's fields | `the_server_frames_a_response_whatever_the_handler_says` |
//! | 6.2, 6.3 | a `Content-Length` that is not a number is 400 | 400; signs, blanks, lists and fractions too | `a_length_is_digits_and_one_number` |
//! | 6.3 | several equal lengths: reject, or take one | takes one if they are in several fields | `a_length_is_digits_and_one_number` |
//! | 6.2 | a length beyond what can be counted must not overflow | 413 | `a_length_is_digits_and_one_number` |
//! | 6.3 | a request with neither field has no body | reads none | `no_framing_field_means_no_body` |
//! | 6.3 | responses to HEAD, and 1xx, 204 and 304, have no body | sends none, whatever the handler returns | `head_204_and_304_have_no_body_whatever_the_handler_gives` |
//! | 7.1 | chunked must be understood | decodes it before the handler is called, or as the handler reads | `a_chunked_body_arrives_whole` |
//! | 7.1 | large sizes must not overflow | 400 beyond 16 digits; 413 beyond `body_bytes_max` | `a_chunk_size_is_hexadecimal_digits_alone` |
//! | 7.1 | a chunk is as long as it says | otherwise 400 | `a_chunk_is_as_long_as_it_says` |
//! | 7.1.1 | unknown extensions are ignored, and ought to be bounded | ignores up to 16 KiB of them in a body; otherwise 400 | `a_chunk_line_that_never_ends_is_refused` |
//! | 7.1.1 | an extension is a token, optionally with `=` and a token or a quoted string; blanks only before `;` and `=` and behind them | otherwise 400 | `a_chunk_extension_is_a_name_and_perhaps_a_value` |
//! | 7.1.2 | trailers are kept apart from the head, or dropped | keeps them apart; they may be as large as a head | `trailers_are_available_after_the_body` |
//! | 7.1.2 | no trailer frames, routes or changes the message | 400 | `a_trailer_frames_and_routes_nothing` |
//! | 7.4 | no trailers to a client that does not want them | sends none | `every_kind_of_body_arrives_complete_and_the_connection_persists` |
//! | 8 | an incomplete request may get an error | closes the connection; a handler that reads gets an error | `a_request_that_breaks_off_gets_no_handler` |
//! | 8 | the client must be able to detect an incomplete response | sends no last chunk, too few bytes, or a reset | `a_body_that_fails_is_cut_so_that_the_client_can_tell` |
//! | 9.2, 9.3.2 | responses in the order of the requests | handles one request of a connection at a time | `answers_come_in_the_order_of_the_requests` |
//! | 9.3 | a connection persists unless the client says `close`; in HTTP/1.0 only if it says `keep-alive` | does so | `http_1_1_persists_unless_told_to_close`, `http_1_0_closes_unless_told_to_persist` |
//! | 9.3 | read the whole body, or close after the response | discards up to `discard_bytes_max` that have arrived; otherwise closes | `a_large_body_that_the_handler_does_not_read_closes_the_connection` |
//! | 9.4 | a server may limit connections | accepts `max_connections`, the rest wait in the backlog; 429 beyond `connections_per_peer` | `a_connection_beyond_the_limit_of_its_peer_gets_429` |
//! | 9.5 | a server may time out, and should close gracefully | 408 in the middle of a request; closes an idle connection without a response | `a_head_that_does_not_end_is_408`, `an_idle_connection_is_closed_without_a_word` |
//! | 9.6 | a server that closes says so in the last response | `Connection: close`; in a stop too | `both_of_a_pipelined_pair_are_answered_and_the_last_says_close` |
//! | 9.6 | nothing behind a `close` is processed | processes nothing | `what_follows_a_request_that_closes_is_not_answered` |
//! | 9.6 | close in stages, because a reset can destroy the response | half-closes, and reads to EOF, bounded by `linger` | `a_refusal_arrives_though_the_client_goes_on_sending` |
//!
//! And of RFC 9110, as far as framing goes:
//!
//! | section | rule | the server | test |
//! |---|---|---|---|
//! | 4.2.1 | an `http` URI has a host | otherwise 400 | `a_target_is_in_one_of_four_forms` |
//! | 7.4 | an `https` target needs a secure connection | 421: there is no TLS | `a_target_is_in_one_of_four_forms` |
//! | 7.8 | no switch of protocols unless the client asked for it | 500 | `a_101_to_a_request_without_an_upgrade_is_a_500` |
//! | 9.3.2 | no response to HEAD has a body | sends none with a refusal either; if too little has arrived to tell the method, the body is empty | `a_refusal_to_a_head_has_no_body`, `a_refusal_to_the_beginning_of_a_head_has_no_body` |
//! | 10.1.1 | `100 Continue` before the body is read | sends it when the handler first reads | `a_100_is_sent_when_the_handler_reads` |
//! | 10.1.1 | no `100 Continue` if the body has begun, or in HTTP/1.0 | sends none | `no_100_is_sent_to_a_client_that_does_not_wait`, `no_100_is_sent_without_a_body_or_in_http_1_0` |
//! | 10.1.1 | other expectations may be 417 | 417 | `other_expectations_are_417` |
//! | 5.5 | no CR, LF or NUL in a field that is sent | impossible by type | `a_response_cannot_be_split` |

mod authority;
pub(crate) mod body;
pub(crate) mod encode;
pub(crate) mod fields;
pub(crate) mod framing;
mod grammar;
pub(crate) mod head;
pub(crate) mod persist;
pub(crate) mod request_line;
pub(crate) mod target;

use ::http::StatusCode;

/// Why the server refuses a request before a handler sees it. The connection closes
/// after the response, because the start of the next request is uncertain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// One sentence for the client's developer: lower case, no full stop.
    pub(crate) reason: &'static str,
}

impl Refusal {
    pub(crate) const fn new(status: StatusCode, reason: &'static str) -> Self {
        Self { status, reason }
    }

    pub(crate) const fn bad_request(reason: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }
}
