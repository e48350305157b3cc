//! A grant on its way between vault and plugin.

use abi_stable::erased_types::TD_Opaque;
use abi_stable::std_types::RResult::{RErr, ROk};
use abi_stable::std_types::{RArc, ROption, RString, RVec};
use async_ffi::FutureExt as _;
use ccproxy_plugin_abi::{self as abi, ApiFuture, VaultTxn, VaultTxnBox};
use tokio::runtime::Handle;

use super::codes::{one_line, plugin_error};
use crate::fault::{Code, Fault};
use crate::model::UnixMillis;
use crate::vault::{Account, CredentialView, GrantView, Transaction};

/// The transaction as it is lent. Writes run beside the cell, so that a slow medium stalls nobody.
pub(super) fn lend(txn: Transaction, cell: Handle) -> VaultTxnBox {
    abi::VaultTxn_TO::from_ptr(RArc::new(Lent { txn, cell }), TD_Opaque)
}

struct Lent {
    txn: Transaction,
    cell: Handle,
}

impl Lent {
    fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Transaction) -> Result<T, Fault> + Send + 'static,
    ) -> ApiFuture<T> {
        let txn = self.txn.clone();
        // Started at once: a plugin that drops the future has still rotated its refresh token.
        let written = self.cell.spawn_blocking(move || write(&txn));
        async move {
            match written.await {
                Ok(Ok(value)) => ROk(value),
                Ok(Err(fault)) => RErr(plugin_error(fault)),
                Err(gone) => {
                    RErr(plugin_error(Fault::new(Code::Storage, format!("the write ended: {gone}"))))
                }
            }
        }
        .into_ffi()
    }
}

impl VaultTxn for Lent {
    fn record(&self) -> ROption<RVec<u8>> {
        self.txn.record().map(|record| RVec::from(record.expose())).into()
    }

    fn generation(&self) -> u64 {
        self.txn.generation()
    }

    fn next_generation(&self) -> u64 {
        self.txn.next_generation()
    }

    fn put(&self, record: RVec<u8>, view: abi::GrantView) -> ApiFuture<u64> {
        let record = crate::secret::Secret::new(record.into());
        self.write(move |txn| {
            let (view, requested) = grant_view(view);
            if !requested.is_empty() {
                txn.request_scopes(requested);
            }
            txn.put(record.expose(), view)
        })
    }

    fn delete(&self) -> ApiFuture<()> {
        self.write(Transaction::delete)
    }
}

/// What a plugin says of a record, and the scopes it asked for.
pub(super) fn grant_view(view: abi::GrantView) -> (GrantView, Vec<String>) {
    let texts = |texts: RVec<RString>| -> Vec<String> { texts.iter().map(|text| one_line(text)).collect() };
    let requested = texts(view.scopes_requested);
    let view = GrantView {
        account: view.account.into_option().map(account),
        credentials: view.tokens.into_iter().map(credential_view).collect(),
        scopes_granted: view.scopes_granted.into_option().map(texts),
        refreshable: view.refreshable,
    };
    (view, requested)
}

pub(super) fn account(account: abi::Account) -> Account {
    let text = |text: RString| Some(one_line(&text)).filter(|text| !text.is_empty());
    Account {
        subject: one_line(&account.subject),
        display_name: text(account.display_name),
        host: text(account.host),
    }
}

fn credential_view(view: abi::TokenView) -> CredentialView {
    // Whatever a plugin calls a fingerprint: more than this could be a token.
    let hex = view.fingerprint.len() == 8 && view.fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit());
    CredentialView {
        target: one_line(&view.target),
        expires_at: (view.expires_at_unix_ms > 0).then_some(UnixMillis(view.expires_at_unix_ms)),
        fingerprint: if hex { view.fingerprint.into() } else { String::new() },
    }
}
