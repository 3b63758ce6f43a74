//! How many connections each peer has, where that is limited.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// See the module.
#[derive(Debug)]
pub(crate) struct Peers {
    /// `None`: there is no limit, and connections are not counted.
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

    /// Counts a connection that was accepted. Says whether its peer has more than
    /// the limit now.
    pub(crate) fn add(&self, peer: IpAddr) -> bool {
        let Some(limit) = self.limit else {
            return false;
        };
        let mut open = self.lock();
        let count = open.entry(peer).or_default();
        *count += 1;
        *count > limit
    }

    /// Counts a connection no more: it is closed.
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
    fn without_a_limit_connections_are_not_counted() {
        let peers = Peers::new(None);
        assert!(!peers.add([127, 0, 0, 1].into()));
        assert!(peers.lock().is_empty());
    }
}
