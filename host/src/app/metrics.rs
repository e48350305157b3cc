//! The page of metrics: what requests, credentials, plugins and hooks have come to.
//!
//! Labels are names of ours, methods, statuses and codes. Never a path, an account or a token.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::admin::{Exposition, Label};
use crate::hook::{Hooks, Kind};
use crate::meter::{Outcome, RouteMeter, Seen, Total};
use crate::model::UnixMillis;
use crate::plugin::{ABI_VERSION, PluginState};
use crate::route::{Forward, Route};
use crate::vault::State;

use super::serve::Serving;

/// Events of plugins that wait to be counted; there are few.
const EVENT_QUEUE: usize = 256;

/// What happened to plugins, by id and code. Counted from events, so that nobody has to count twice.
#[derive(Clone, Default)]
pub(super) struct PluginErrors(Arc<Mutex<BTreeMap<(String, String), u64>>>);

impl PluginErrors {
    /// Counts until the bus ends.
    pub(super) fn count(hooks: &Hooks) -> Self {
        let counted = Self::default();
        let mut errors = hooks.subscribe(Kind::PluginError.bit(), EVENT_QUEUE);
        let counting = counted.clone();
        tokio::spawn(async move {
            while let Some(notice) = errors.recv().await {
                let event = &notice.event;
                let code = event.fields.get("code").and_then(|code| code.as_str()).unwrap_or("plugin_failed");
                let key = (event.provider.clone().unwrap_or_default(), code.to_owned());
                *counting.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
            }
        });
        counted
    }

    fn counted(&self) -> BTreeMap<(String, String), u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Serving {
    /// The page as of now.
    pub(super) async fn metrics_page(&self) -> String {
        let mut page = Exposition::default();
        self.host_metrics(&mut page);
        self.request_metrics(&mut page);
        self.credential_metrics(&mut page).await;
        self.plugin_metrics(&mut page);
        page.finish()
    }

    fn host_metrics(&self, page: &mut Exposition) {
        let abi = ABI_VERSION.to_string();
        let version = [("version", env!("CARGO_PKG_VERSION")), ("abi", &abi)];
        page.gauge("ccproxy_build_info", "The version of this host.").sample(&version, 1);
        page.gauge("ccproxy_start_time_seconds", "When this host started, in seconds of the Unix epoch.")
            .sample(&[], seconds(self.started_at));
        page.gauge("http_server_active_requests", "Requests of clients under way.")
            .sample(&[], self.app.meters.host().active());
        page.gauge("http_server_open_connections", "Connections of clients.")
            .sample(&[], self.app.meters.host().connected());
        let mut metric = page.counter(
            "ccproxy_reload_total",
            "Other configurations read while serving, by what came of it: ok, or the code of the failure.",
        );
        for (result, count) in self.standing.lock().unwrap_or_else(PoisonError::into_inner).reloads() {
            metric.sample(&[("result", result)], count);
        }
        page.counter("ccproxy_hook_events_dropped_total", "Events that a queue had no room for.")
            .sample(&[], self.app.hooks.dropped());
        page.counter(
            "ccproxy_access_log_lines_dropped_total",
            "Lines of the access log that were dropped because it was written too slowly.",
        )
        .sample(&[], self.access_log.dropped());
    }

    fn request_metrics(&self, page: &mut Exposition) {
        let rules = self.rules();
        let routes: BTreeMap<&str, &Arc<Route>> =
            rules.routes.routes().map(|route| (route.name.as_str(), route)).collect();
        let host: (&str, &RouteMeter) = ("", self.app.meters.host());
        let meters: Vec<_> =
            routes.iter().map(|(name, route)| (*name, &*route.meter)).chain([host]).collect();

        let mut metric = page.histogram(
            "http_server_request_duration_seconds",
            "How long requests took, from their head to the end of the response.",
        );
        for (route, meter) in &meters {
            for (seen, total) in meter.served() {
                with_labels(&seen, route, |labels| metric.total(labels, &total));
            }
        }
        let mut metric = page.histogram(
            "http_client_request_duration_seconds",
            "How long upstreams took to begin their response, connecting included.",
        );
        for (name, route) in &routes {
            let address = server_address(route);
            for (seen, total) in route.meter.forwarded() {
                with_labels(&seen, name, |labels| forwarded(labels, &address, &total, &mut metric));
            }
        }
        for (at, name, help) in [
            (0, "http_server_request_body_size_bytes", "Sizes of the bodies of forwarded requests."),
            (1, "http_server_response_body_size_bytes", "Sizes of the bodies of their responses."),
        ] {
            let mut metric = page.histogram(name, help);
            for (name, route) in &routes {
                let sizes = route.meter.sizes();
                if sizes[at].count() > 0 {
                    metric.sizes(&[("ccproxy_route", name)], &sizes[at]);
                }
            }
        }
        let mut metric = page.counter(
            "ccproxy_upstream_replays_total",
            "Requests sent to the upstream once more, by the reason.",
        );
        for (name, route) in &routes {
            for (reason, count) in route.meter.replayed() {
                metric.sample(&[("ccproxy_route", name), ("reason", reason)], count);
            }
        }
        let mut metric =
            page.counter("ccproxy_refusals_total", "Requests that ccproxy answered with a problem, by code.");
        for (route, meter) in &meters {
            for (code, count) in meter.refused() {
                metric.sample(&[("ccproxy_route", route), ("code", code)], count);
            }
        }
    }

    async fn credential_metrics(&self, page: &mut Exposition) {
        let mut metric = page.counter(
            "ccproxy_token_refresh_total",
            "Calls to plugins for a credential, by what they came to: ok, or the code of the failure.",
        );
        for (id, calls) in self.app.credentials.calls() {
            for (result, count) in calls {
                metric.sample(&[("connection", &id.to_string()), ("result", result)], count);
            }
        }
        let mut metric = page.histogram(
            "ccproxy_token_refresh_duration_seconds",
            "How long calls to plugins for a credential took.",
        );
        for (id, total) in self.app.credentials.durations() {
            metric.total(&[("connection", &id.to_string())], &total);
        }
        let connections = self.app.status().await;
        let mut metric =
            page.gauge("ccproxy_connection_state", "The state of each connection, as in `auth status`.");
        for status in &connections {
            let (id, state) = (status.id().to_string(), status.state.as_str());
            let labels =
                [("connection", id.as_str()), ("provider", status.provider.as_str()), ("state", state)];
            metric.sample(&labels, 1);
        }
        let expiring: Vec<_> = connections
            .iter()
            .filter(|status| status.state != State::NotLoggedIn)
            .flat_map(|status| {
                status.credentials.iter().map(|credential| (status.id().to_string(), credential))
            })
            .filter_map(|(id, credential)| {
                let at: jiff::Timestamp = credential.expires_at.as_deref()?.parse().ok()?;
                Some((id, credential.target.as_str(), UnixMillis(at.as_millisecond())))
            })
            .collect();
        let mut metric = page.gauge(
            "ccproxy_token_expiry_timestamp_seconds",
            "When each token expires, in seconds of the Unix epoch.",
        );
        for (id, target, at) in &expiring {
            metric.sample(&[("connection", id), ("target", target)], seconds(*at));
        }
        let now = UnixMillis::now();
        let mut metric = page.gauge(
            "ccproxy_token_expiry_seconds",
            "How long each token still lives; negative once it is dead.",
        );
        for (id, target, at) in &expiring {
            metric.sample(&[("connection", id), ("target", target)], seconds(*at) - seconds(now));
        }
    }

    fn plugin_metrics(&self, page: &mut Exposition) {
        let entries = self.app.registry().entries();
        let mut metric = page.gauge("ccproxy_plugin_info", "Plugin files, and what became of each.");
        for (at, entry) in entries.iter().enumerate() {
            let Some(id) = &entry.id else { continue };
            let known = |other: &crate::plugin::Entry| other.id.as_ref() == Some(id);
            // A second file of an id is `shadowed`, a third one too: one series says so.
            if entry.state == PluginState::Shadowed
                && entries[..at].iter().filter(|one| known(one)).count() > 1
            {
                continue;
            }
            let manifest = entry.manifest.as_deref();
            let of = |text: Option<String>| text.unwrap_or_default();
            let version = of(manifest.map(|manifest| manifest.version.to_string()));
            let abi = of(manifest.map(|manifest| manifest.abi.to_string()));
            metric.sample(
                &[
                    ("plugin", id.as_str()),
                    ("version", &version),
                    ("abi", &abi),
                    ("state", entry.state.as_str()),
                ],
                1,
            );
        }
        let images = self.app.registry().images();
        page.gauge(
            "ccproxy_plugin_images",
            "Images of plugins in memory, those that were replaced included.",
        )
        .sample(&[], images.mapped());
        page.gauge("ccproxy_plugin_images_limit", "With so many no plugin is replaced before a restart.")
            .sample(&[], images.limit());
        let mut metric =
            page.counter("ccproxy_plugin_errors_total", "Plugins refused, panicked or stalled, by code.");
        for ((plugin, code), count) in self.plugin_errors.counted() {
            metric.sample(&[("plugin", &plugin), ("code", &code)], count);
        }
        let mut metric =
            page.counter("ccproxy_plugin_events_dropped_total", "Events that a plugin was too slow to hear.");
        for entry in entries.iter().filter(|entry| is_serving(entry.state)) {
            let Some(id) = &entry.id else { continue };
            metric.sample(&[("plugin", id.as_str())], entry.events_dropped);
        }
    }
}

fn is_serving(state: PluginState) -> bool {
    matches!(state, PluginState::Loaded | PluginState::Stalled | PluginState::Quarantined)
}

/// Seconds with their thousandths.
fn seconds(at: UnixMillis) -> f64 {
    at.0 as f64 / 1000.0
}

/// The upstream's host, without its port. Empty where the route leads nowhere by now.
fn server_address(route: &Route) -> String {
    match &route.forward {
        Forward::To(to) => to.base.origin().host().to_string(),
        Forward::Nowhere(_) => String::new(),
    }
}

fn forwarded(labels: &[Label<'_>], address: &str, total: &Total, metric: &mut crate::admin::Metric<'_>) {
    let labels = [labels, &[("server_address", address)]].concat();
    metric.total(&labels, total);
}

/// Calls with the labels of OpenTelemetry's conventions for HTTP.
fn with_labels(seen: &Seen, route: &str, mut call: impl FnMut(&[Label<'_>])) {
    let method = ("http_request_method", seen.verb.as_str());
    let route = ("ccproxy_route", route);
    match seen.outcome {
        Outcome::Status(status) => {
            call(&[method, ("http_response_status_code", &status.to_string()), route]);
        }
        Outcome::Error(error) => call(&[method, ("error_type", error), route]),
    }
}
