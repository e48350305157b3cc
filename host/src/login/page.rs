//! What the browser shows at the end of a login. No external asset, nothing to keep.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::Full;

/// How the login ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Stored and served.
    LoggedIn {
        /// The connection's name.
        connection: String,
        /// Whose account.
        account: String,
    },
    /// The login goes on at another page.
    GoOn {
        /// Which.
        url: String,
    },
    /// Nothing was saved.
    Failed {
        /// Why.
        message: String,
    },
}

/// The result page.
pub fn result(outcome: &Outcome) -> Response<Full<Bytes>> {
    let (status, title, text) = match outcome {
        Outcome::GoOn { url } => return go_on(url),
        Outcome::LoggedIn { connection, account } => (
            StatusCode::OK,
            "Logged in",
            format!(
                "<code>{}</code> is logged in as {}. You may close this tab.",
                escape(connection),
                escape(account)
            ),
        ),
        Outcome::Failed { message } => (
            StatusCode::BAD_REQUEST,
            "Login failed",
            format!(
                "{}. Nothing was saved; where the login was started it says what to do.",
                escape(message)
            ),
        ),
    };
    html(status, title, &text)
}

/// Sends the browser to the next page of the login.
fn go_on(url: &str) -> Response<Full<Bytes>> {
    let mut response = html(StatusCode::SEE_OTHER, "ccproxy", "The login goes on.");
    match http::HeaderValue::from_str(url) {
        Ok(location) => {
            response.headers_mut().insert(header::LOCATION, location);
            response
        }
        Err(_) => plain(StatusCode::BAD_GATEWAY, "the next page of this login is no URL"),
    }
}

/// A short answer to somebody who is not the login's browser.
pub fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    html(status, "ccproxy", &escape(text))
}

fn html(status: StatusCode, title: &str, text: &str) -> Response<Full<Bytes>> {
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title} - ccproxy</title>\
         <style>body{{font:1.1rem system-ui,sans-serif;margin:15vh auto;max-width:34rem;padding:0 1rem}}\
         @media(prefers-color-scheme:dark){{body{{background:#111;color:#eee}}}}</style>\
         <h1>{title}</h1><p>{text}</p></html>"
    );
    let mut response = Response::new(Full::new(Bytes::from(page)));
    *response.status_mut() = status;
    let fields = response.headers_mut();
    // The URL of this page holds a code: it must not be kept, framed or told to anybody.
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
        ),
    ] {
        fields.insert(name, http::HeaderValue::from_static(value));
    }
    response
}

fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
        out
    })
}
