//! The head of a request, complete and at prefixes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| farewell::fuzzing::head(input));
