//! The person at the terminal: what a login shows, asks and waits for.

use std::fs::File;
use std::io::IsTerminal;
use std::pin::Pin;

use rustix::termios::{OptionalActions, Termios};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

use crate::app::{Beginning, Client};
use crate::cli::output::{Output, say};
use crate::cli::time::roughly;
use crate::fault::{Code, Fault};
use crate::login::step::UserCode;
use crate::login::{Flow, LoginOptions, Notice, Person};
use crate::model::UnixMillis;
use crate::secret::Secret;

/// The widest QR code that is shown: a version 10 code, 57 modules and the quiet zone.
const QR_COLUMNS: usize = 65;

/// Prose on standard error, or one document a step on standard output.
pub(super) struct Terminal<'a> {
    out: &'a Output,
    /// The command to repeat.
    command: String,
    no_browser: bool,
    qr: Option<bool>,
    interactive: bool,
    flow: Flow,
    typed: Option<Lines<BufReader<Stdin>>>,
}

impl<'a> Terminal<'a> {
    pub(super) fn new(out: &'a Output, options: &LoginOptions) -> Self {
        Self {
            out,
            command: options.command(),
            no_browser: options.no_browser,
            qr: options.qr,
            interactive: options.interactive,
            flow: Flow::Browser,
            typed: None,
        }
    }

    fn step(&self, document: serde_json::Value) {
        // A reader that went away does not end the login: the browser may be half way through it.
        let _ = self.out.document(&document);
    }

    fn open(&self, url: &str, redirect_uri: &str, sent: bool) {
        if self.out.json {
            self.step(json!({"schema": "ccproxy.login/1", "step": "open_url", "url": url}));
        }
        // First the address, then the browser: it may be the wrong one, or none at all.
        let opens = !self.no_browser && self.flow == Flow::Browser;
        self.out.remark(match (opens, sent) {
            (_, true) => "The login goes on in that browser, at this address:",
            (true, false) => "Open this address if your browser does not:",
            (false, false) => "Open this address in a browser:",
        });
        self.out.remark(&format!("open: {url}"));
        self.out.remark(&format!("Waiting on {redirect_uri}"));
        self.out.remark("  or paste the address you end up on here, then press Enter; Ctrl-C cancels");
        if opens && !sent {
            launch_browser(url.to_owned(), self.out.json);
        }
    }

    fn code(&self, code: &UserCode) {
        if self.out.json {
            self.step(json!({
                "schema": "ccproxy.login/1",
                "step": "user_code",
                "verification_uri": code.verification_uri,
                "verification_uri_complete": code.verification_uri_complete,
                "user_code": code.user_code,
                "expires_at": code.expires_at.map(UnixMillis::rfc3339),
            }));
        }
        let left = code.expires_at.map(|at| format!("   ({} left)", roughly(UnixMillis::now().until(at))));
        self.out.remark("On any device open this address and enter the code:");
        self.out.remark(&format!("open: {}", code.verification_uri));
        self.out.remark(&format!("code: {}", code.user_code));
        if let Some(left) = left {
            self.out.remark(&left);
        }
        let filled_in = code.verification_uri_complete.as_deref();
        if let Some(qr) = self.qr(filled_in.unwrap_or(&code.verification_uri)) {
            self.out.remark(&qr);
        }
        // A code sent by somebody else logs him in, not you (RFC 8628 section 5.4).
        self.out.remark("Only go on if you started this login yourself.");
    }

    fn qr(&self, address: &str) -> Option<String> {
        let wanted = self.qr.unwrap_or_else(|| !self.out.json && readable_here());
        wanted.then(|| draw_qr(address)).flatten()
    }
}

impl Client for Terminal<'_> {
    fn begin(&mut self, beginning: &Beginning<'_>) {
        self.flow = beginning.choice.flow;
        self.out.remark(&format!("Logging in to {} as `{}`", beginning.provider, beginning.id));
        self.out.remark(&format!("  Flow     {} ({})", beginning.choice.flow, beginning.choice.why));
        self.out.remark(&format!("  Storage  {}", beginning.storage));
    }

    fn probing(&mut self) {
        self.out.remark("✓ The provider agreed; asking whose account it is");
    }
}

impl Person for Terminal<'_> {
    fn show(&mut self, notice: Notice<'_>) {
        match notice {
            Notice::OpenUrl { url, redirect_uri, sent } => self.open(url, redirect_uri, sent),
            Notice::UserCode(code) => self.code(code),
            Notice::NotTheRedirect => self.out.remark(
                "that is not the address this login ends on: it has `code=` and this login's `state=`",
            ),
            Notice::Returned => self.out.remark("✓ The browser returned"),
            Notice::Retrying(fault) => self.out.remark(&format!("  still waiting ({})", fault.message)),
        }
    }

    fn ask<'b>(
        &'b mut self,
        prompt: &'b str,
        secret: bool,
    ) -> Pin<Box<dyn Future<Output = Result<Secret, Fault>> + Send + 'b>> {
        // A token piped in is an answer nobody has to be asked for.
        let piped = !std::io::stdin().is_terminal();
        if !piped && !self.interactive {
            let missing = format!("the login needs {prompt}, and questions are not allowed");
            let hint = format!("{} < FILE", self.command);
            return Box::pin(std::future::ready(Err(Fault::new(Code::NotLoggedIn, missing).hint(hint))));
        }
        Box::pin(async move {
            let line = match secret && !piped {
                true => ask_hidden(prompt.to_owned()).await?,
                false => {
                    if !piped {
                        self.out.say(&format!("{prompt}:"));
                    }
                    self.line().await.map(Secret::from)
                }
            };
            let answer = line.map(|line| Secret::new(line.expose().trim_ascii().to_vec()));
            // Only a secret cannot be done without: what else is not given has an answer of its own.
            answer.filter(|answer| !secret || !answer.expose().is_empty()).ok_or_else(|| {
                Fault::new(Code::NotLoggedIn, format!("nothing was given for {prompt}"))
                    .hint(format!("{} < FILE", self.command))
            })
        })
    }

    fn line(&mut self) -> Pin<Box<dyn Future<Output = Option<String>> + Send + '_>> {
        let lines = self.typed.get_or_insert_with(|| BufReader::new(tokio::io::stdin()).lines());
        Box::pin(async { lines.next_line().await.ok().flatten() })
    }
}

/// On a thread of its own: a browser in the terminal keeps its caller until it is closed, and the
/// redirect must be answered meanwhile.
fn launch_browser(url: String, json: bool) {
    tokio::task::spawn_blocking(move || match webbrowser::open(&url) {
        Err(error) if !json => say(&format!("no browser could be opened ({error}); open the address above")),
        Ok(()) | Err(_) => {}
    });
}

/// Asks without showing what is typed.
async fn ask_hidden(prompt: String) -> Result<Option<Secret>, Fault> {
    let _echo = Echo::keep();
    let typed = tokio::task::spawn_blocking(move || rpassword::prompt_password(format!("{prompt}: "))).await;
    match typed {
        Ok(Ok(line)) => Ok(Some(Secret::from(line))),
        Ok(Err(error)) => Err(Fault::new(Code::Cancelled, format!("nothing could be read: {error}"))),
        Err(_) => Err(Fault::new(Code::Cancelled, "the question ended")),
    }
}

/// The terminal as it was. Ctrl-C ends the process while the question still waits on its thread: the
/// shell would be left without echo.
struct Echo(Option<(File, Termios)>);

impl Echo {
    fn keep() -> Self {
        let terminal = File::open("/dev/tty").ok();
        Self(terminal.and_then(|terminal| {
            let was = rustix::termios::tcgetattr(&terminal).ok()?;
            Some((terminal, was))
        }))
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        if let Some((terminal, was)) = &self.0 {
            // A terminal that is gone needs no echo.
            let _ = rustix::termios::tcsetattr(terminal, OptionalActions::Now, was);
        }
    }
}

/// Whether a QR code would be seen as one: a terminal wide enough that speaks UTF-8.
fn readable_here() -> bool {
    let utf8 = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .is_some_and(|locale| locale.to_ascii_lowercase().replace('-', "").contains("utf8"));
    let stderr = std::io::stderr();
    let wide =
        rustix::termios::tcgetwinsize(&stderr).is_ok_and(|size| usize::from(size.ws_col) >= QR_COLUMNS);
    utf8 && stderr.is_terminal() && wide
}

/// Half blocks, light on dark turned round so that the quiet zone is light on any background.
fn draw_qr(address: &str) -> Option<String> {
    let code = fast_qr::QRBuilder::new(address).ecl(fast_qr::ECL::L).build().ok()?;
    (code.size + 8 <= QR_COLUMNS).then(|| code.to_str())
}
