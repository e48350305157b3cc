//! Three minutes of a working day: twenty clients, tokens of a minute, refresh tokens that rotate, and a host
//! that is restarted in the middle. Nobody notices anything.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ccproxy_tests::browser;
use ccproxy_tests::corp;
use ccproxy_tests::home::Home;
use ccproxy_tests::http_client::Call;
use ccproxy_tests::login::BrowserLogin;
use ccproxy_tests::oidc_provider::{OidcProvider, Options, introspect};
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pretty_assertions::assert_eq;
use tokio::net::TcpListener;
use tokio::sync::{OnceCell, RwLock};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};

const DAY: Duration = Duration::from_secs(180);
const CLIENTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(250);
/// Of an access token.
const LIFETIME: u64 = 60;
/// `[refresh] ahead` is never more than a third of a token's life.
const AHEAD: u64 = LIFETIME / 3;

#[tokio::test]
async fn nobody_notices_that_tokens_rotate_and_that_the_host_is_restarted() {
    let provider = OidcProvider::start(Options::default()).await;
    let api = Api::start(provider.issuer()).await;
    let home = Home::with_config(&corp::connection("corp", provider.issuer(), &api.url, "native"));
    let login = BrowserLogin::start(&home, &["corp"]).await;
    browser::approve(&login.url).await;
    login.succeed().await;

    let began = Instant::now();
    let host = home.serve().await;
    let proxy = Arc::new(RwLock::new(host.url("/corp/v1/work")));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(work(Arc::clone(&proxy), began + DAY));
    }

    sleep_until(began + DAY / 2).await;
    let host = {
        // The clients hold still, as they would for a socket that is handed over.
        let mut address = proxy.write().await;
        host.stop().await.expect_success();
        let host = home.serve().await;
        *address = host.url("/corp/v1/work");
        host
    };
    let answers: Vec<StatusCode> = clients.join_all().await.concat();
    let lasted = began.elapsed();
    host.stop().await.expect_success();

    let refused: Vec<_> = answers.iter().filter(|status| **status != StatusCode::OK).collect();
    assert_eq!(refused, [&StatusCode::OK; 0]);
    let expected = CLIENTS as u128 * (DAY.as_millis() / PAUSE.as_millis());
    assert!(answers.len() as u128 > expected / 2, "only {} requests were made", answers.len());
    let seen = api.seen.lock().unwrap();
    assert_eq!(seen.bad, [""; 0]);
    assert_eq!(seen.requests, answers.len());

    let asked = provider.granted("refresh_token") + provider.refused("refresh_token");
    let most = lasted.as_secs().div_ceil(LIFETIME - AHEAD) + 1;
    assert!(asked as u64 <= most, "{asked} token requests, at most {most} are needed");
    assert_eq!(provider.refused("refresh_token"), 0, "{:#?}", provider.events());
    assert_eq!(provider.revoked(), 0, "a spent refresh token came back");
    assert_eq!(provider.granted("authorization_code"), 1, "a restart needs no login");
}

/// One client: asks, waits, asks, until the day is over.
async fn work(proxy: Arc<RwLock<String>>, end: Instant) -> Vec<StatusCode> {
    let mut answers = Vec::new();
    let mut pace = interval(PAUSE);
    while Instant::now() < end {
        pace.tick().await;
        let url = proxy.read().await;
        answers.push(Call::get(&url).send().await.status);
    }
    answers
}

/// An API that asks the provider about every token it meets, once, and believes the expiry it is told.
struct Api {
    url: String,
    seen: Arc<Mutex<Seen>>,
    _server: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    requests: usize,
    /// Why requests were refused.
    bad: Vec<String>,
    tokens: HashMap<String, Arc<OnceCell<Option<u64>>>>,
}

impl Api {
    async fn start(issuer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (seen, issuer) = (Arc::<Mutex<Seen>>::default(), issuer.to_owned());
        let mut server = JoinSet::new();
        let shared = Arc::clone(&seen);
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, issuer) = (Arc::clone(&shared), issuer.clone());
                let service = service_fn(move |request| answer(Arc::clone(&seen), issuer.clone(), request));
                let http = hyper::server::conn::http1::Builder::new();
                connections.spawn(http.serve_connection(TokioIo::new(stream), service));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { url, seen, _server: server }
    }
}

async fn answer(
    seen: Arc<Mutex<Seen>>,
    issuer: String,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let arrived = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let field = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = field.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default().to_owned();
    let known = Arc::clone(seen.lock().unwrap().tokens.entry(token.clone()).or_default());
    let expiry = known
        .get_or_init(|| async {
            let told = introspect(&issuer, &token).await;
            told["exp"].as_u64().filter(|_| told["active"] == true)
        })
        .await;
    let problem = match expiry {
        None => Some("the provider does not know the token".to_owned()),
        Some(expiry) if arrived >= *expiry as f64 => Some(format!("{} s too late", arrived - *expiry as f64)),
        Some(_) => None,
    };
    let mut seen = seen.lock().unwrap();
    seen.requests += 1;
    let mut response = Response::new(Full::default());
    if let Some(problem) = problem {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        seen.bad.push(problem);
    }
    Ok(response)
}
