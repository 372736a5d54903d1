//! The keys under which something in this process works, or asks whether it may. A claim of this process under a key that
//! nobody holds was given up: by a panic, or because its end could not be stored.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::store::KeyId;

/// How many hold each key.
#[derive(Default)]
pub(super) struct Held(Mutex<HashMap<KeyId, usize>>);

/// One that holds a key, until it is dropped.
pub(super) struct Hold {
    held: Arc<Held>,
    key: KeyId,
    alone: bool,
}

impl Hold {
    pub(super) fn new(held: &Arc<Held>, key: KeyId) -> Self {
        let mut holders = held.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = holders.entry(key).or_default();
        *count += 1;
        Self { held: Arc::clone(held), key, alone: *count == 1 }
    }

    /// Whether nobody else held the key when this one began to.
    pub(super) fn alone(&self) -> bool {
        self.alone
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut holders = self.held.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = holders.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                holders.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_held_alone_again_once_all_others_have_let_go_and_leaves_nothing() {
        let (held, key, other) = (Arc::default(), KeyId([1; 16]), KeyId([2; 16]));
        let first = Hold::new(&held, key);
        let second = Hold::new(&held, key);
        assert!(first.alone() && !second.alone() && Hold::new(&held, other).alone());
        drop(first);
        assert!(!Hold::new(&held, key).alone());
        drop(second);
        assert!(held.0.lock().unwrap().is_empty());
        assert!(Hold::new(&held, key).alone());
    }
}
