//! How many connections each peer has, if the configuration limits that.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::address::PeerAddr;

/// See the module.
#[derive(Debug)]
pub(crate) struct Peers {
    /// `None`: there is no limit, and connections are not counted.
    limit: Option<usize>,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection in the count of its peer. The drop removes it from the count.
#[derive(Debug)]
pub(crate) struct PeerShare {
    counted: Option<(Arc<Peers>, IpAddr)>,
    /// The connection exceeds its peer's limit.
    pub(crate) is_over_limit: bool,
}

impl Peers {
    pub(crate) fn new(limit: Option<usize>) -> Arc<Self> {
        Arc::new(Self {
            limit,
            open: Mutex::default(),
        })
    }

    /// Whether there is a limit.
    pub(crate) fn are_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// Counts a connection that was accepted. A connection of a unix socket has no
    /// address by which it could be counted.
    pub(crate) fn add(self: &Arc<Self>, peer: PeerAddr) -> PeerShare {
        let (Some(limit), Some(peer)) = (self.limit, peer.ip()) else {
            return PeerShare {
                counted: None,
                is_over_limit: false,
            };
        };
        let mut open = self.lock();
        let count = open.entry(peer).or_default();
        *count += 1;
        PeerShare {
            counted: Some((Arc::clone(self), peer)),
            is_over_limit: *count > limit,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PeerShare {
    fn drop(&mut self) {
        let Some((peers, peer)) = &self.counted else {
            return;
        };
        if let Entry::Occupied(mut entry) = peers.lock().entry(*peer) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn peer(last: u8) -> PeerAddr {
        PeerAddr::Inet(SocketAddr::from(([127, 0, 0, last], 1)))
    }

    #[test]
    fn each_peer_has_its_own_count() {
        let peers = Peers::new(Some(1));
        let first = peers.add(peer(1));
        let second = peers.add(peer(1));
        assert!(!first.is_over_limit && second.is_over_limit);
        assert!(!peers.add(peer(2)).is_over_limit);
        drop((first, second));
        assert!(!peers.add(peer(1)).is_over_limit);
        assert!(peers.lock().is_empty());
    }

    #[test]
    fn without_a_limit_connections_are_not_counted() {
        let peers = Peers::new(None);
        let _share = peers.add(peer(1));
        assert!(peers.lock().is_empty());
    }

    #[test]
    fn connections_of_a_unix_socket_are_not_limited() {
        let peers = Peers::new(Some(1));
        let shares = [PeerAddr::Unix; 3].map(|peer| peers.add(peer));
        assert!(shares.iter().all(|share| !share.is_over_limit));
    }
}
