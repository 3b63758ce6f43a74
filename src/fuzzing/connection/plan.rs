//! What is done with a stream of requests: four bytes of the input say it, from
//! `b'0'` on, so that `0000` at the start of a seed means nothing special.

use std::sync::LazyLock;

use crate::config::Config;

pub(super) const BYTES: usize = 4;

/// More than a buffer holds, of no more pieces than can be waited for.
const REPEATED_BYTES: usize = 24 * 1024;
const REPEATED_MAX: usize = 32;

/// Made once: to count the cores takes longer than many an input.
static DEFAULTS: LazyLock<Config> = LazyLock::new(Config::default);

#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// How the stream is cut, and into pieces of which lengths.
    pub(super) cut: u8,
    pub(super) seed: u8,
    /// How many steps a connection may take in its turn.
    pub(super) steps: usize,
    pub(super) reading: Reading,
    /// How much of a body is read before the handler is called.
    pub(super) body_buffer: usize,
    /// How much of the rest the handler reads at a time.
    pub(super) piece_bytes: usize,
    pub(super) chunked_answer: bool,
    /// Limits that a fuzzer can reach.
    pub(super) tight: bool,
    /// The stream is sent again and again, until it fills a buffer.
    pub(super) repeated: bool,
    pub(super) interruption: Interruption,
    /// When that happens: the client has done so much.
    pub(super) after: usize,
}

/// How much of a body its handler reads.
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
    /// The client closes its socket.
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
            // Byte by byte it would take too long.
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
            interruption,
            after: usize::from(happening >> 3) + 1,
        }
    }

    /// Nothing special, but for the limits, and for the answer: one of unknown
    /// length ends with the connection in HTTP/1.0.
    pub(super) fn plain(&self) -> Self {
        Self {
            tight: self.tight,
            chunked_answer: self.chunked_answer,
            ..Self::read(b"0000")
        }
    }

    /// What is sent, for what stands in the input.
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
