//! Credentials that were right, so that a password is checked once and not for each
//! request.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::sync::PoisonError;
use std::sync::RwLock;

use sha2::Digest;
use sha2::Sha256;

/// How many are remembered; then the oldest is forgotten.
const TAGS_MAX: usize = 256;

/// What is remembered of credentials: their hash under a key. The passwords themselves are
/// not kept. The key is secret, so that no client knows which tags are alike.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag([u8; 32]);

/// The tags of credentials that were right.
pub(super) struct Accepted {
    key: [u8; 32],
    /// The oldest is the first.
    tags: RwLock<VecDeque<Tag>>,
}

impl Accepted {
    pub(super) fn new() -> Self {
        Self {
            key: random_key(),
            tags: RwLock::default(),
        }
    }

    /// The tag of this value of `Authorization`.
    pub(super) fn tag(&self, credentials: &[u8]) -> Tag {
        let hash = Sha256::new()
            .chain_update(self.key)
            .chain_update(credentials);
        Tag(hash.finalize().into())
    }

    pub(super) fn contains(&self, tag: &Tag) -> bool {
        let tags = self.tags.read().unwrap_or_else(PoisonError::into_inner);
        tags.contains(tag)
    }

    pub(super) fn insert(&self, tag: Tag) {
        let mut tags = self.tags.write().unwrap_or_else(PoisonError::into_inner);
        if tags.len() == TAGS_MAX {
            tags.pop_front();
        }
        tags.push_back(tag);
    }
}

/// The keys of std's hash tables are random, and their hash does not reveal them.
fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    for (at, piece) in key.chunks_exact_mut(8).enumerate() {
        piece.copy_from_slice(&RandomState::new().hash_one(at).to_ne_bytes());
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_accepted_is_remembered_until_there_is_too_much() {
        let accepted = Accepted::new();
        let tag = |number: usize| accepted.tag(format!("Basic {number}").as_bytes());
        assert!(!accepted.contains(&tag(0)));
        for number in 0..TAGS_MAX {
            accepted.insert(tag(number));
        }
        assert!(accepted.contains(&tag(0)) && accepted.contains(&tag(TAGS_MAX - 1)));
        accepted.insert(tag(TAGS_MAX));
        assert!(!accepted.contains(&tag(0)) && accepted.contains(&tag(TAGS_MAX)));
        assert_eq!(accepted.tags.read().unwrap().len(), TAGS_MAX);
    }

    #[test]
    fn each_server_has_a_key_of_its_own() {
        let (one, other) = (Accepted::new(), Accepted::new());
        assert!(one.tag(b"Basic YTpi") == one.tag(b"Basic YTpi"));
        assert!(one.tag(b"Basic YTpi") != one.tag(b"Basic YTpj"));
        assert!(one.tag(b"Basic YTpi") != other.tag(b"Basic YTpi"));
    }
}
