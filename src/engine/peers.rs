//! How many connections each peer has, where that is limited.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

#[derive(Debug)]
pub(crate) struct Peers {
    /// No limit: nobody is counted.
    limit: Option<usize>,
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Peers {
    pub(crate) fn new(limit: Option<usize>) -> Self {
        Self {
            limit,
            open: Mutex::default(),
        }
    }

    /// Whether there is a limit.
    pub(crate) fn are_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// A connection comes. Says whether it is one too many.
    pub(crate) fn add(&self, peer: IpAddr) -> bool {
        let Some(limit) = self.limit else {
            return false;
        };
        let mut open = self.lock();
        let count = open.entry(peer).or_default();
        *count += 1;
        *count > limit
    }

    /// A connection that has come is gone.
    pub(crate) fn remove(&self, peer: IpAddr) {
        if self.limit.is_none() {
            return;
        }
        if let Entry::Occupied(mut entry) = self.lock().entry(peer) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_has_its_own_count() {
        let peers = Peers::new(Some(1));
        let (a, b) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        assert!(!peers.add(a));
        assert!(peers.add(a));
        assert!(!peers.add(b));
        peers.remove(a);
        peers.remove(a);
        assert!(!peers.add(a));
        assert_eq!(peers.lock().len(), 2);
    }

    #[test]
    fn without_a_limit_nobody_is_counted() {
        let peers = Peers::new(None);
        assert!(!peers.add([127, 0, 0, 1].into()));
        assert!(peers.lock().is_empty());
    }
}
