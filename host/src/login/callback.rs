//! Logins whose browser comes back to the host's own listener: one path for all of them, so that it can be
//! registered at a provider. A login is found by its `state`.
//!
//! The address that the provider sends the browser to holds a code. It is answered by a redirection to a page
//! of its own, shown once: what stays in the browser's history leads nowhere.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use subtle::ConstantTimeEq as _;
use tokio::sync::{mpsc, oneshot};
use url::{Url, form_urlencoded};

use super::driver::random_text;
use super::page::{self, Outcome};
use super::redirect::{Arrival, Redirect, Tab, state_matches};
use crate::secret::Secret;

/// The path, on every listener that leads to all routes.
pub const CALLBACK_PATH: &str = "/_ccproxy/callback";

/// Pages that nobody has fetched yet. A browser fetches its own at once.
const MOST_PAGES: usize = 32;

/// The logins that wait for a browser at [`CALLBACK_PATH`].
#[derive(Default)]
pub struct Callbacks {
    waiting: Mutex<Vec<Arc<Waiting>>>,
    pages: Mutex<VecDeque<Page>>,
}

/// One of them.
struct Waiting {
    state: Secret,
    /// Whether a browser is expected now: not before there is a page to open, and once for each page.
    armed: AtomicBool,
    arrivals: mpsc::Sender<Arrival>,
}

/// How a login ended, for the browser that came back from it.
struct Page {
    id: Secret,
    outcome: Outcome,
}

/// A login's place here, given up when dropped.
pub(super) struct Place {
    callbacks: Arc<Callbacks>,
    waiting: Arc<Waiting>,
}

impl Place {
    /// A browser may come back, once.
    pub(super) fn arm(&self) {
        self.waiting.armed.store(true, SeqCst);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.callbacks.waiting().retain(|other| !Arc::ptr_eq(other, &self.waiting));
    }
}

/// A request at the callback's path.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its query.
    pub query: &'a str,
    /// Whether a browser only prepares for somebody who may come.
    pub prefetch: bool,
}

impl Callbacks {
    /// A redirect that arrives here.
    pub(super) fn expect(self: &Arc<Self>, uri: Url, state: &str) -> Redirect {
        let (sender, arrivals) = mpsc::channel(1);
        let state = Secret::from(state.to_owned());
        let waiting = Arc::new(Waiting { state, armed: AtomicBool::new(false), arrivals: sender });
        self.waiting().push(Arc::clone(&waiting));
        Redirect::at_callback(uri, arrivals, Place { callbacks: Arc::clone(self), waiting })
    }

    /// Whether somebody is expected with this query: a login's `state`, or a page that was not fetched yet. The
    /// guard lets them in, whatever page sent them.
    pub fn expects(&self, query: &[u8]) -> bool {
        let Ok(query) = std::str::from_utf8(query) else { return false };
        self.login_of(query).is_some_and(|login| login.armed.load(SeqCst))
            || page_of(query).is_some_and(|id| self.pages().iter().any(|page| page.has(&id)))
    }

    /// Answers a browser, once the login that it came back from has ended.
    pub async fn answer(&self, visit: Visit<'_>) -> Response<Full<Bytes>> {
        // A prefetch or a HEAD would spend the code without anybody having come back.
        if visit.method != "GET" || visit.prefetch {
            let mut refused =
                page::plain(StatusCode::METHOD_NOT_ALLOWED, "only a browser coming back is answered here");
            refused.headers_mut().insert(http::header::ALLOW, http::HeaderValue::from_static("GET"));
            return refused;
        }
        if let Some(id) = page_of(visit.query) {
            return match self.take_page(&id) {
                Some(outcome) => page::result(&outcome),
                None => page::plain(StatusCode::NOT_FOUND, "this page was shown already"),
            };
        }
        let Some(login) = self.login_of(visit.query) else {
            return page::plain(StatusCode::BAD_REQUEST, "no login waits for this redirect");
        };
        let (sender, outcome) = oneshot::channel();
        let arrival = Arrival { query: Secret::from(visit.query.to_owned()), tab: Tab::of_the_host(sender) };
        if !login.armed.swap(false, SeqCst) || login.arrivals.try_send(arrival).is_err() {
            return page::plain(StatusCode::CONFLICT, "this login has already been answered");
        }
        drop(login);
        let outcome =
            outcome.await.unwrap_or_else(|_| Outcome::Failed { message: "the login was stopped".into() });
        match outcome {
            Outcome::GoOn { .. } => page::result(&outcome),
            Outcome::LoggedIn { .. } | Outcome::Failed { .. } => self.keep_page(outcome),
        }
    }

    /// Sends the browser to a page that tells how it ended.
    fn keep_page(&self, outcome: Outcome) -> Response<Full<Bytes>> {
        let Ok(id) = random_text() else { return page::result(&outcome) };
        let mut pages = self.pages();
        if pages.len() == MOST_PAGES {
            pages.pop_front();
        }
        pages.push_back(Page { id: Secret::from(id.clone()), outcome });
        page::result(&Outcome::GoOn { url: format!("{CALLBACK_PATH}?page={id}") })
    }

    fn take_page(&self, id: &str) -> Option<Outcome> {
        let mut pages = self.pages();
        let at = pages.iter().position(|page| page.has(id))?;
        pages.remove(at).map(|page| page.outcome)
    }

    fn login_of(&self, query: &str) -> Option<Arc<Waiting>> {
        self.waiting().iter().find(|login| state_matches(query, &login.state)).cloned()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Arc<Waiting>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pages(&self) -> MutexGuard<'_, VecDeque<Page>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Page {
    fn has(&self, id: &str) -> bool {
        id.as_bytes().ct_eq(self.id.expose()).into()
    }
}

/// The page that a query asks for, and nothing else.
fn page_of(query: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    match (pairs.next(), pairs.next()) {
        (Some((name, id)), None) if name == "page" => Some(id.into_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::header::{LOCATION, REFERRER_POLICY};
    use http_body_util::BodyExt as _;
    use pretty_assertions::assert_eq;

    use super::*;

    fn uri() -> Url {
        format!("http://127.0.0.1:8462{CALLBACK_PATH}").parse().unwrap()
    }

    async fn get(callbacks: &Arc<Callbacks>, query: &str) -> Response<Full<Bytes>> {
        callbacks.answer(Visit { method: "GET", query, prefetch: false }).await
    }

    async fn text(response: Response<Full<Bytes>>) -> String {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn two_logins_wait_at_one_path_and_each_browser_sees_its_own_end_once() {
        let callbacks = Arc::new(Callbacks::default());
        let mut one = callbacks.expect(uri(), "s1");
        let two = callbacks.expect(uri(), "s2");
        assert!(!callbacks.expects(b"code=c&state=s1"), "nobody was sent anywhere yet");
        one.arm();
        two.arm();
        assert!(callbacks.expects(b"code=c&state=s1") && callbacks.expects(b"code=c&state=s2"));

        let at = Arc::clone(&callbacks);
        let browser = tokio::spawn(async move { get(&at, "code=c&state=s1").await });
        let arrival = one.arrival().await;
        assert_eq!(arrival.query.expose(), b"code=c&state=s1");
        assert!(!callbacks.expects(b"code=c&state=s1"), "it came");
        assert_eq!(get(&callbacks, "code=c&state=s1").await.status(), 409);
        arrival.tab.show(Outcome::Failed { message: "<script>".into() }).await;
        let sent = browser.await.unwrap();
        assert_eq!(
            (sent.status().as_u16(), &sent.headers()[REFERRER_POLICY]),
            (303, &"no-referrer".parse().unwrap())
        );
        let location = sent.headers()[LOCATION].to_str().unwrap().to_owned();
        let query = location.strip_prefix("/_ccproxy/callback?").unwrap();
        assert!(!location.contains("state") && callbacks.expects(query.as_bytes()), "{location}");
        let page = text(get(&callbacks, query).await).await;
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");
        assert_eq!(get(&callbacks, query).await.status(), 404);
        assert!(!callbacks.expects(query.as_bytes()));
        assert!(callbacks.expects(b"state=s2"), "the other one waits on");
    }

    #[tokio::test]
    async fn strangers_and_late_ones_change_nothing() {
        let callbacks = Arc::new(Callbacks::default());
        let login = callbacks.expect(uri(), "s1");
        login.arm();
        for query in ["", "code=c", "state=s", "state=s1&state=s1", "page=", "page=x"] {
            assert!(!callbacks.expects(query.as_bytes()), "{query}");
        }
        assert_eq!(get(&callbacks, "state=other").await.status(), 400);
        let post = Visit { method: "POST", query: "state=s1", prefetch: false };
        assert_eq!(callbacks.answer(post).await.status(), 405);
        let prefetch = Visit { method: "GET", query: "state=s1", prefetch: true };
        assert_eq!(callbacks.answer(prefetch).await.status(), 405);
        assert!(callbacks.expects(b"state=s1"));
        drop(login);
        assert_eq!(get(&callbacks, "state=s1").await.status(), 400);
    }
}
