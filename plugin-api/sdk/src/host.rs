//! The host's services as an author sees them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ccproxy_plugin_abi::abi_stable::std_types::ROption;
use ccproxy_plugin_abi::async_ffi::FutureExt as _;
use ccproxy_plugin_abi::{ConnectionRef, HostApiBox, PluginEvent};

use crate::connection::Connection;
use crate::error::{Error, ErrorCode};
use crate::guard::guard_future;
use crate::http::{Request, Response};
use crate::manager::Target;
use crate::time::UnixMillis;
use serde::de::DeserializeOwned;

/// Clock, timers, HTTP and events, lent by the host. Cheap to clone.
#[derive(Clone)]
pub struct Host(pub(crate) Arc<HostApiBox>);

impl Host {
    /// The wall clock.
    pub fn now(&self) -> UnixMillis {
        UnixMillis(self.0.now_unix_ms())
    }

    /// Waits. Timers of a runtime of your own would panic here: there is no reactor in a plugin.
    pub async fn sleep(&self, duration: Duration) {
        self.0.sleep(crate::time::millis(duration)).await;
    }

    /// Runs a task beside the call. A panic in it is logged.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let guarded = guard_future(async move {
            task.await;
            Ok(())
        });
        self.0.spawn(
            async move {
                if let Err(error) = Result::from(guarded.await) {
                    tracing::error!(error = %error.message, "a spawned task failed");
                }
            }
            .into_ffi(),
        );
    }

    /// Makes a request on nobody's behalf: only hosts declared literally in the manifest.
    pub async fn http(&self, request: Request) -> Result<Response, Error> {
        let response = self.0.http(ROption::RNone, request.into_abi()).await;
        Ok(Response::from_abi(response.into_result()?))
    }

    /// Emits a `custom.event` with these fields (a JSON object). Put no secret into it.
    pub fn emit(&self, name: &str, fields: &serde_json::Map<String, serde_json::Value>) {
        let fields_json = serde_json::to_string(fields).unwrap_or_default().into();
        self.0.emit(PluginEvent { connection: ROption::RNone, name: name.into(), fields_json });
    }

    /// The connections of this provider, with their settings: for commands, paths and events, which are about
    /// none. Ask each time: settings change while the plugin runs.
    ///
    /// # Errors
    /// Settings that do not parse, naming the connection.
    pub fn connections<S: DeserializeOwned>(&self) -> Result<Vec<Connection<S>>, Error> {
        let known = self.0.connections().into_result()?;
        known.into_iter().map(|reference| Connection::parse(self.clone(), reference)).collect()
    }

    /// The connection of this provider that a person calls `name`, or `org/name` outside the org `global`.
    ///
    /// # Errors
    /// None of this provider's connections is called so, or its settings do not parse.
    pub fn connection<S: DeserializeOwned>(&self, name: &str) -> Result<Connection<S>, Error> {
        let known = self.0.connections().into_result()?;
        let labels: Vec<String> = known.iter().map(crate::connection::label).collect();
        match known.into_iter().zip(&labels).find(|(_, label)| *label == name) {
            Some((reference, _)) => Connection::parse(self.clone(), reference),
            None => {
                let hint = match labels.as_slice() {
                    [] => format!("ccproxy auth login {name}"),
                    labels => format!("known: {}", labels.join(", ")),
                };
                let what = format!("no connection of this provider is named `{name}`");
                Err(Error::new(ErrorCode::NotLoggedIn, what).with_hint(hint))
            }
        }
    }

    pub(crate) async fn http_for(
        &self,
        connection: ConnectionRef,
        request: Request,
    ) -> Result<Response, Error> {
        let response = self.0.http(ROption::RSome(connection), request.into_abi()).await;
        Ok(Response::from_abi(response.into_result()?))
    }

    pub(crate) async fn http_as(
        &self,
        connection: ConnectionRef,
        target: &Target,
        request: Request,
    ) -> Result<Response, Error> {
        let response = self.0.http_as(connection, target.to_abi(), request.into_abi()).await;
        Ok(Response::from_abi(response.into_result()?))
    }
}
