//! The models, one file for each handshake.

mod monitor_waker;
mod places;
mod poll;
mod counts_watch;
mod run_queue;
mod shard;
mod sleep;
mod in_flight_slot;

use crate::Model;

pub(crate) fn all() -> impl Iterator<Item = &'static Model> {
    let all = [
        run_queue::MODELS,
        sleep::MODELS,
        in_flight_slot::MODELS,
        monitor_waker::MODELS,
        shard::MODELS,
        places::MODELS,
        counts_watch::MODELS,
    ];
    all.into_iter().flatten()
}
