//! The models, one file for each handshake.

mod bell;
mod places;
mod poll;
mod counts_watch;
mod run_queue;
mod shard;
mod sleep;
mod slot;

use crate::Model;

pub(crate) fn all() -> impl Iterator<Item = &'static Model> {
    let all = [
        run_queue::MODELS,
        sleep::MODELS,
        slot::MODELS,
        bell::MODELS,
        shard::MODELS,
        places::MODELS,
        counts_watch::MODELS,
    ];
    all.into_iter().flatten()
}
