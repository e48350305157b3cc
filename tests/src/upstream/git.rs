//! git over HTTP, by git's own `http-backend` (CGI, RFC 3875), for whoever sends a good token.

use std::path::Path;
use std::process::Stdio;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{json_answer, with_status};
use crate::sandbox::TokenState;
use crate::server::{Body, Cut};

pub(super) async fn answer(
    root: &Path,
    request: Request<Incoming>,
    state: TokenState,
) -> Result<Response<Body>, Cut> {
    if state != TokenState::Valid {
        // What makes git ask for a password, as GitHub does.
        let mut refusal =
            with_status(StatusCode::UNAUTHORIZED, json_answer(&json!({ "error": "invalid token" })));
        refusal.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"GitHub\""));
        return Ok(refusal);
    }
    let mut child = command(root, &request).spawn().map_err(|_| Cut)?;
    let (stdin, stdout) = (child.stdin.take().ok_or(Cut)?, child.stdout.take().ok_or(Cut)?);
    // Both directions at once: the backend answers while it still reads.
    tokio::spawn(send(request.into_body(), stdin));
    respond(child, BufReader::new(stdout)).await
}

fn command(root: &Path, request: &Request<Incoming>) -> Command {
    let uri = request.uri();
    let mut command = Command::new("git");
    command.arg("http-backend").env_clear().kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1");
    // A known user may push; whoever owns the directory is the one who runs the tests.
    command.env("REMOTE_USER", "alice");
    command
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*");
    command.env("REQUEST_METHOD", request.method().as_str());
    command.env("PATH_INFO", uri.path().strip_prefix("/git").unwrap_or_default());
    command.env("QUERY_STRING", uri.query().unwrap_or_default());
    for (variable, field) in [
        ("CONTENT_TYPE", CONTENT_TYPE),
        ("CONTENT_LENGTH", CONTENT_LENGTH),
        ("HTTP_CONTENT_ENCODING", CONTENT_ENCODING),
        ("GIT_PROTOCOL", HeaderName::from_static("git-protocol")),
    ] {
        if let Some(value) = request.headers().get(field).and_then(|value| value.to_str().ok()) {
            command.env(variable, value);
        }
    }
    command
}

/// Ends when either side does; the backend sees the end of the body as the end of its input.
async fn send(mut body: Incoming, mut stdin: ChildStdin) {
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data()
            && stdin.write_all(&data).await.is_err()
        {
            return;
        }
    }
}

/// The head of a CGI answer as a response; the rest streams.
async fn respond(child: Child, mut stdout: BufReader<ChildStdout>) -> Result<Response<Body>, Cut> {
    let mut response = Response::new(());
    loop {
        let mut line = String::new();
        let length = stdout.read_line(&mut line).await.map_err(|_| Cut)?;
        let line = line.trim_end();
        if length == 0 {
            return Err(Cut);
        }
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or(Cut)?;
        if name.eq_ignore_ascii_case("status") {
            let code = value.trim().split(' ').next().and_then(|code| code.parse().ok());
            *response.status_mut() = code.ok_or(Cut)?;
        } else if let (Ok(name), Ok(value)) =
            (HeaderName::try_from(name), HeaderValue::from_str(value.trim()))
        {
            response.headers_mut().append(name, value);
        }
    }
    let rest = stream::unfold((child, stdout), |(child, mut stdout)| async {
        let mut chunk = BytesMut::with_capacity(64 * 1024);
        match stdout.read_buf(&mut chunk).await {
            Ok(0) => None,
            Ok(_) => Some((Ok(Frame::data(Bytes::from(chunk))), (child, stdout))),
            Err(_) => Some((Err(Cut), (child, stdout))),
        }
    });
    Ok(response.map(|()| StreamBody::new(rest).boxed_unsync()))
}
