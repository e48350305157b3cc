//! Carries a [`Provider`] across the boundary: every call parsed, guarded and translated.

use std::future::Future;
use std::sync::Arc;

use ccproxy_plugin_abi as abi;
use ccproxy_plugin_abi::abi_stable::erased_types::TD_Opaque;
use ccproxy_plugin_abi::abi_stable::std_types::RResult::{RErr, ROk};
use ccproxy_plugin_abi::abi_stable::std_types::{RArc, ROption, RString, RVec};
use ccproxy_plugin_abi::async_ffi::FutureExt as _;
use ccproxy_plugin_abi::{ApiFuture, ApiResult, ConnectionRef, HostApiBox, ProviderAbi, VaultTxnBox};

use crate::connection::Connection;
use crate::error::Error;
use crate::guard::{guard_future, guard_sync, install_panic_hook};
use crate::host::Host;
use crate::http::Request;
use crate::login::{LoginInput, LoginRequest};
use crate::manager::{TokenManager, Want, option};
use crate::provider::{Provider, RecordOf};
use crate::secret::Secret;
use crate::storage::{Grant, JsonTokenStorage, View};

type StorageOf<P> = <<P as Provider>::Manager as TokenManager>::Storage;

/// Makes the provider of an image. The first code of the plugin that the host calls.
pub extern "C" fn create<P: Provider>(host: HostApiBox) -> ApiResult<abi::ProviderBox> {
    into_abi(guard_sync(|| {
        let host = Host(Arc::new(host));
        crate::logfwd::install(Arc::clone(&host.0));
        install_panic_hook();
        wrap::<P>(host)
    }))
}

/// The provider as the host holds it, without touching this image's statics.
pub(crate) fn wrap<P: Provider>(host: Host) -> Result<abi::ProviderBox, Error> {
    let provider = Some(Arc::new(P::create(host.clone())?));
    Ok(abi::ProviderAbi_TO::from_ptr(RArc::new(Glue { provider, host }), TD_Opaque))
}

/// The JSON Schema of the provider's settings.
pub extern "C" fn settings_schema<P: Provider>() -> ApiResult<RString> {
    into_abi(guard_sync(|| {
        let schema = schemars::schema_for!(P::Settings);
        serde_json::to_string(&schema)
            .map(RString::from)
            .map_err(|error| Error::invalid_config(format!("settings schema: {error}")))
    }))
}

fn into_abi<T>(result: Result<T, Error>) -> ApiResult<T> {
    match result {
        Ok(value) => ROk(value),
        Err(error) => RErr(error.into()),
    }
}

struct Glue<P> {
    provider: Option<Arc<P>>,
    host: Host,
}

impl<P> Drop for Glue<P> {
    fn drop(&mut self) {
        let provider = self.provider.take();
        let _ = guard_sync(move || {
            drop(provider);
            Ok(())
        });
    }
}

impl<P: Provider> Glue<P> {
    fn provider(&self) -> Arc<P> {
        Arc::clone(self.provider.as_ref().expect("the provider is taken only in drop"))
    }

    fn connection(&self, reference: ConnectionRef) -> Result<Connection<P::Settings>, Error> {
        Connection::parse(self.host.clone(), reference)
    }

    /// Parses the connection inside the guard, so that a panicking deserializer is caught too.
    fn call<T, F>(
        &self,
        reference: ConnectionRef,
        body: impl FnOnce(Arc<P>, Arc<Connection<P::Settings>>) -> F + Send + 'static,
    ) -> ApiFuture<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send,
    {
        let (provider, host) = (self.provider(), self.host.clone());
        guard_future(async move {
            let connection = Arc::new(Connection::parse(host, reference)?);
            body(provider, Arc::clone(&connection)).await.map_err(|error| error.for_connection(&connection))
        })
        .into_ffi()
    }
}

fn view_of<P: Provider>(provider: &Arc<P>) -> View<RecordOf<P>> {
    let provider = Arc::clone(provider);
    Arc::new(move |record| provider.manager().snapshot(record))
}

fn encode_step<P: Provider>(provider: &P, step: crate::Step<RecordOf<P>>) -> Result<abi::Step, Error> {
    step.into_abi(|record| Ok((StorageOf::<P>::encode(record)?, provider.manager().snapshot(record))))
}

impl<P: Provider> ProviderAbi for Glue<P> {
    fn start(&self) -> ApiFuture<()> {
        let provider = self.provider();
        guard_future(async move { provider.start().await }).into_ffi()
    }

    fn shutdown(&self, _deadline_ms: u64) -> ApiFuture<()> {
        let provider = self.provider();
        guard_future(async move { provider.shutdown().await }).into_ffi()
    }

    fn describe(&self, connection: ConnectionRef) -> ApiResult<abi::Description> {
        into_abi(guard_sync(|| {
            let connection = self.connection(connection)?;
            Ok(self.provider().describe(&connection)?.into_abi())
        }))
    }

    fn login_begin(&self, connection: ConnectionRef, request: abi::LoginRequest) -> ApiFuture<abi::Step> {
        self.call(connection, |provider, connection| async move {
            let step = provider.login_begin(&connection, LoginRequest::from_abi(request)?).await?;
            encode_step(&*provider, step)
        })
    }

    fn login_continue(
        &self,
        connection: ConnectionRef,
        state: RVec<u8>,
        input: abi::LoginInput,
    ) -> ApiFuture<abi::Step> {
        self.call(connection, |provider, connection| async move {
            let state = Secret::from_utf8(state.into())
                .ok_or_else(|| Error::invalid_response("the login state is not what this plugin made"))?;
            let step = provider.login_continue(&connection, state, LoginInput::from_abi(input)?).await?;
            encode_step(&*provider, step)
        })
    }

    fn acquire(
        &self,
        txn: VaultTxnBox,
        connection: ConnectionRef,
        request: abi::AcquireRequest,
    ) -> ApiFuture<abi::Credential> {
        self.call(connection, |provider, connection| async move {
            let mut grant = Grant::open(txn, view_of(&provider))?;
            let want = Want::from_abi(request);
            Ok(provider.manager().acquire(&connection, &mut grant, &want).await?.into_abi())
        })
    }

    fn snapshot(&self, connection: ConnectionRef, record: RVec<u8>) -> ApiResult<abi::GrantView> {
        into_abi(guard_sync(|| {
            let _ = connection;
            let record = StorageOf::<P>::decode(&record)?;
            Ok(self.provider().manager().snapshot(&record).into_abi())
        }))
    }

    fn probe(&self, connection: ConnectionRef, record: ROption<RVec<u8>>) -> ApiFuture<abi::Account> {
        self.call(connection, |provider, connection| async move {
            let record = option(record).map(|bytes| StorageOf::<P>::decode(&bytes)).transpose()?;
            Ok(provider.probe(&connection, record.as_ref()).await?.into_abi())
        })
    }

    fn logout(
        &self,
        txn: VaultTxnBox,
        connection: ConnectionRef,
        revoke: bool,
    ) -> ApiFuture<abi::Revocation> {
        self.call(connection, move |provider, connection| async move {
            let mut grant = Grant::open(txn, view_of(&provider))?;
            let outcome = provider.manager().logout(&connection, &mut grant, revoke).await?;
            Ok(abi::Revocation { revoked: outcome.revoked, message: outcome.message.into() })
        })
    }

    fn handle(&self, request: abi::HttpRequest) -> ApiFuture<abi::HttpResponse> {
        let provider = self.provider();
        guard_future(async move { Ok(provider.handle(Request::from_abi(request)).await?.into_abi()) })
            .into_ffi()
    }

    fn command(&self, arguments: RVec<RString>) -> ApiFuture<abi::CommandOutput> {
        let provider = self.provider();
        guard_future(async move {
            let output = provider.command(arguments.into_iter().map(Into::into).collect()).await?;
            Ok(abi::CommandOutput { stdout: output.stdout.into(), exit_code: output.exit_code })
        })
        .into_ffi()
    }

    fn on_event(&self, event_json: RString) -> ApiFuture<()> {
        let provider = self.provider();
        guard_future(async move {
            let event = serde_json::from_str(&event_json)
                .map_err(|error| Error::invalid_response(format!("event document: {error}")))?;
            provider.on_event(event).await;
            Ok(())
        })
        .into_ffi()
    }
}
