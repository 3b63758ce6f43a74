//! Runs the seeds as regression tests.

use std::fs;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::path::Path;

/// Runs every seed of a target. A published crate has no `fuzz` folder, and no seeds.
fn run_seeds(target: &str, run: impl Fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if !fuzz.exists() {
        return;
    }
    let mut count = 0;
    let mut broken = Vec::new();
    for seed in fs::read_dir(fuzz.join("seeds").join(target)).unwrap() {
        let path = seed.unwrap().path();
        let input = fs::read(&path).unwrap();
        if panic::catch_unwind(AssertUnwindSafe(|| run(&input))).is_err() {
            broken.push(path);
        }
        count += 1;
    }
    assert!(broken.is_empty(), "seeds that break a promise: {broken:#?}");
    assert!(count >= 12, "{target} has {count} seeds");
}

#[test]
fn the_seeds_of_heads_break_no_promise() {
    run_seeds("head", super::head);
}

#[test]
fn the_seeds_of_chunked_bodies_break_no_promise() {
    run_seeds("chunked", |input| drop(super::chunked(input)));
}

#[test]
#[cfg(feature = "multipart")]
fn the_seeds_of_multipart_bodies_break_no_promise() {
    run_seeds("multipart", |input| drop(super::multipart(input)));
}

#[test]
fn the_seeds_of_connections_break_no_promise() {
    run_seeds("connection", |input| drop(super::connection(input)));
}

#[test]
fn the_seeds_of_connections_break_no_promise_if_every_turn_is_held_first() {
    run_seeds("connection", |input| {
        let mut input = input.to_vec();
        // The bit of the third byte, which is counted from `0`.
        input[2] ^= 128;
        drop(super::connection(&input));
    });
}
