//! What happens to a stream of requests. Four bytes of the input say it, counted from
//! `b'0'`: `0000` at the start of a seed means nothing special.

use std::sync::LazyLock;

use crate::config::Config;

pub(super) const BYTES: usize = 4;

/// How long a repeated stream is: more than a buffer holds.
const REPEATED_BYTES: usize = 24 * 1024;
/// How often a stream is repeated at most, to bound the time of a run.
const REPEATED_MAX: usize = 32;

/// Built once: counting the cores takes longer than most inputs.
static DEFAULTS: LazyLock<Config> = LazyLock::new(Config::default);

#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The rule by which the stream is cut, and the seed of the lengths.
    pub(super) cut: u8,
    pub(super) seed: u8,
    /// The connection's budget of steps before it must yield.
    pub(super) steps: usize,
    pub(super) reading: Reading,
    /// How many bytes of a body are buffered before the handler is called.
    pub(super) body_buffer: usize,
    /// How many bytes of the rest the handler reads at a time.
    pub(super) piece_bytes: usize,
    pub(super) chunked_answer: bool,
    /// The limits are small enough for a fuzzer to reach.
    pub(super) tight: bool,
    /// The stream is repeated until it fills a buffer.
    pub(super) repeated: bool,
    /// A turn for urgent requests only comes before each turn that serves everything.
    pub(super) urgent_only: bool,
    pub(super) interruption: Interruption,
    /// The interruption happens at this step of the client, counted from 1.
    pub(super) after: usize,
}

/// How much of a body the handler reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    All,
    Some,
    Nothing,
}

/// What happens in the middle of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interruption {
    Nothing,
    /// The client does nothing for an hour.
    Stall,
    /// The client drops the connection, without reading.
    Disconnect,
    Shutdown,
    LastCallOver,
    Abort,
}

impl Plan {
    pub(super) fn read(bytes: &[u8; BYTES]) -> Self {
        let [cut, seed, handler, happening] = bytes.map(|byte| byte.wrapping_sub(b'0'));
        let reading = match handler % 4 {
            1 => Reading::Some,
            2 => Reading::Nothing,
            _ => Reading::All,
        };
        let interruption = match happening % 8 {
            1 => Interruption::Stall,
            2 => Interruption::Disconnect,
            3 => Interruption::Shutdown,
            4 => Interruption::LastCallOver,
            5 => Interruption::Abort,
            _ => Interruption::Nothing,
        };
        let repeated = handler & 64 != 0;
        Self {
            // A repeated stream takes too long byte by byte.
            cut: if repeated { bytes[0] | 2 } else { bytes[0] },
            seed: bytes[1],
            steps: if cut % 8 < 4 {
                64
            } else {
                1 + usize::from(seed % 5)
            },
            reading,
            body_buffer: if handler & 4 == 0 { 64 * 1024 } else { 3 },
            piece_bytes: [5, 32 * 1024][usize::from(handler >> 3 & 1)],
            chunked_answer: handler & 16 != 0,
            tight: handler & 32 != 0,
            repeated,
            urgent_only: handler & 128 != 0,
            interruption,
            after: usize::from(happening >> 3) + 1,
        }
    }

    /// A plan without anything special. Only the limits and the framing of the response
    /// stay: in HTTP/1.0, a response of unknown length ends the connection.
    pub(super) fn plain(&self) -> Self {
        Self {
            tight: self.tight,
            chunked_answer: self.chunked_answer,
            ..Self::read(b"0000")
        }
    }

    /// The bytes that the client sends.
    pub(super) fn stream(&self, input: &[u8]) -> Vec<u8> {
        let times = match self.repeated {
            true => (REPEATED_BYTES / input.len().max(1)).clamp(1, REPEATED_MAX),
            false => 1,
        };
        input.repeat(times)
    }

    pub(super) fn config(&self) -> Config {
        let mut config = Config {
            workers: 1,
            body_buffer: self.body_buffer,
            ..DEFAULTS.clone()
        };
        if self.tight {
            config.head_bytes_max = 512;
            config.headers_max = 8;
            config.target_bytes_max = 64;
            config.body_bytes_max = 256;
            config.discard_bytes_max = 64;
        }
        config
    }
}
