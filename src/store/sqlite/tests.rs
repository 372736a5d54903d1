//! The contract on SQLite, and what only this engine can do wrong.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Options, SqliteStore};
use crate::domain::Silent;
use crate::store::contract::{self, Harness};

/// A store in a folder of its own.
struct InAFolder(tempfile::TempDir);

impl InAFolder {
    fn path(&self) -> PathBuf {
        self.0.path().join("store.db")
    }
}

fn options() -> Options {
    Options { rejections_per_source: contract::REJECTIONS, rejection_bytes_per_source: contract::REJECTION_BYTES, ..Options::default() }
}

impl Harness for InAFolder {
    type Store = SqliteStore;

    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.path(), &options(), Arc::new(Silent)).unwrap()
    }

    async fn close(&self, store: SqliteStore) {
        store.close().await;
    }

    async fn crash(&self, store: SqliteStore) {
        store.kill();
    }
}

contract::contract!(InAFolder);
