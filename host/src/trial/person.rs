//! Who logs in: somebody who says yes to everything, at once.

use std::pin::Pin;

use http::header::LOCATION;
use tokio::sync::mpsc;
use url::Url;

use super::sandbox::Keeper;
use crate::app::{Beginning, Client};
use crate::fault::{Code, Fault};
use crate::login::{Notice, Person};
use crate::secret::Secret;

/// Pages of a login before it is a loop.
const MOST_PAGES: usize = 10;

/// A person at the sandbox.
pub(super) struct Agreeable {
    keeper: Keeper,
    user: String,
    /// What they have in hand for a login that asks for a token.
    token: String,
    /// The page to open next, and where it is to end.
    page: Option<(String, String)>,
    /// Told why the login cannot go on.
    stuck: mpsc::UnboundedSender<Fault>,
}

impl Agreeable {
    /// The person, and what is told once they are stuck.
    pub(super) fn new(keeper: &Keeper, user: &str, token: String) -> (Self, mpsc::UnboundedReceiver<Fault>) {
        let (stuck, told) = mpsc::unbounded_channel();
        let (keeper, user) = (keeper.clone(), user.to_owned());
        (Self { keeper, user, token, page: None, stuck }, told)
    }
}

impl Client for Agreeable {
    fn begin(&mut self, _: &Beginning<'_>) {}

    fn probing(&mut self) {}
}

impl Person for Agreeable {
    fn show(&mut self, notice: Notice<'_>) {
        match notice {
            Notice::OpenUrl { url, redirect_uri, .. } => {
                self.page = Some((url.to_owned(), redirect_uri.to_owned()));
            }
            Notice::UserCode(code) => {
                let (keeper, user, stuck) = (self.keeper.clone(), self.user.clone(), self.stuck.clone());
                let user_code = code.user_code.clone();
                tokio::spawn(async move {
                    if let Err(fault) = keeper.approve_device(&user_code, &user).await {
                        // Nobody listens once the login has ended.
                        let _ = stuck.send(fault);
                    }
                });
            }
            Notice::NotTheRedirect | Notice::Returned | Notice::Retrying(_) => {}
        }
    }

    fn ask<'a>(
        &'a mut self,
        prompt: &'a str,
        secret: bool,
    ) -> Pin<Box<dyn Future<Output = Result<Secret, Fault>> + Send + 'a>> {
        let answer = match secret {
            true => Ok(Secret::from(self.token.clone())),
            false => Err(Fault::new(Code::Unsupported, format!("nobody here knows an answer to `{prompt}`"))),
        };
        Box::pin(std::future::ready(answer))
    }

    fn line(&mut self) -> Pin<Box<dyn Future<Output = Option<String>> + Send + '_>> {
        let Some((url, end)) = self.page.take() else { return Box::pin(std::future::pending()) };
        Box::pin(async move {
            match redirected(&self.keeper, &url, &end, &self.user).await {
                Ok(address) => Some(address),
                Err(fault) => {
                    // Nobody listens once the login has ended.
                    let _ = self.stuck.send(fault);
                    None
                }
            }
        })
    }
}

/// Opens a page, says yes, and follows where it leads, up to the address that the login waits for.
async fn redirected(keeper: &Keeper, url: &str, end: &str, user: &str) -> Result<String, Fault> {
    let wrong = |what: String| Fault::new(Code::InvalidResponse, what);
    let mut url =
        Url::parse(url).map_err(|error| wrong(format!("the authorization URL is none: {error}")))?;
    url.query_pairs_mut().append_pair("sandbox_approve", user);
    for _ in 0..MOST_PAGES {
        let answer = keeper.caller().get(&url, &[]).await?;
        let to = answer.headers.get(LOCATION).and_then(|location| location.to_str().ok());
        let Some(to) = to.filter(|_| answer.status.is_redirection()) else {
            let what = format!("the authorization page at {} answers {}", url.path(), answer.status);
            return Err(wrong(what)
                .hint("compare the parameters of the authorization URL with RFC 6749 section 4.1.1"));
        };
        if to.starts_with(end) {
            return Ok(to.to_owned());
        }
        url = url.join(to).map_err(|error| wrong(format!("a page leads nowhere: {error}")))?;
    }
    Err(wrong(format!("{MOST_PAGES} pages did not lead back to {end}")))
}
