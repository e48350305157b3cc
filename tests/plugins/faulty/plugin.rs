//! A plugin that breaks on request: each call does what the connection's settings, the command or
//! the path say.

use std::time::Duration;

use ccproxy_plugin_sdk::*;

/// What each call does first.
#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Settings {
    describe: Act,
    login: Act,
    acquire: Act,
    probe: Act,
    logout: Act,
    upstream: Option<String>,
    /// Where `acquire` asks for its token, if not in the record.
    token_url: Option<String>,
    /// What `probe` reads with the connection's own credential.
    me_url: Option<String>,
    /// A secret reference: `acquire` answers with it.
    key: Option<SecretRef>,
}

/// Something a good plugin does not do.
#[derive(Clone, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// What it should.
    #[default]
    Work,
    /// Panics at once, quoting a secret.
    Panic,
    /// Panics after it waited.
    PanicLater,
    /// Panics in a destructor, after the call was done.
    PanicInDrop,
    /// Keeps its thread until this file exists, 30 s at most.
    BlockUntil(String),
    /// Waits for ever, as one should.
    Hang,
    /// Logs ten thousand records.
    Flood,
    /// Logs one record with a field in a span.
    Log,
    /// Emits a thousand events.
    Emit,
    /// Leaves a task behind that panics.
    SpawnPanic,
    /// Answers with a line break in the token.
    Inject,
    /// Says no.
    Refuse,
}

const CANARY: &str = "canary-secret";

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("{CANARY}");
    }
}

impl Act {
    fn now(&self, host: &Host) -> Result<()> {
        match self {
            Self::Panic => panic!("{CANARY}"),
            Self::BlockUntil(path) => block_until(path),
            Self::Flood => (0..10_000).for_each(|at| tracing::info!(at, "flood")),
            Self::Log => {
                let _entered = tracing::info_span!("renewing", attempt = 2).entered();
                tracing::info!(status = 200, "token\nrenewed");
            }
            Self::Emit => {
                let fields = serde_json::json!({ "at": 1, "access_token": CANARY });
                let fields = fields.as_object().cloned().unwrap_or_default();
                (0..1000).for_each(|_| host.emit("seen", &fields));
            }
            Self::SpawnPanic => host.spawn(async { panic!("{CANARY}") }),
            Self::Refuse => return Err(Error::new(ErrorCode::ReauthRequired, "the grant is gone")),
            Self::Work | Self::PanicLater | Self::PanicInDrop | Self::Hang | Self::Inject => {}
        }
        Ok(())
    }

    async fn perform(&self, host: &Host) -> Result<()> {
        self.now(host)?;
        match self {
            Self::PanicLater => {
                host.sleep(Duration::from_millis(1)).await;
                panic!("{CANARY}");
            }
            Self::PanicInDrop => {
                let _bomb = Bomb;
                host.sleep(Duration::from_millis(1)).await;
            }
            Self::Hang => std::future::pending().await,
            _ => {}
        }
        Ok(())
    }
}

fn block_until(path: &str) {
    for _ in 0..6000 {
        if std::path::Path::new(path).exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The provider.
pub struct Faulty {
    host: Host,
}

type Conn = Connection<Settings>;

impl JsonTokenStorage for Faulty {
    type Record = StoredToken;
    const SCHEMA_VERSION: u32 = 1;
}

impl TokenManager for Faulty {
    type Settings = Settings;
    type Storage = Self;

    async fn acquire(&self, connection: &Conn, grant: &mut Grant<Self>, want: &Want) -> Result<Credential> {
        connection.settings.acquire.perform(&connection.host).await?;
        if matches!(connection.settings.acquire, Act::Inject) {
            return Ok(Credential::header("authorization", "Bearer x\r\ny: z", None, 1));
        }
        if let Some(token) = connection.token_override() {
            return Ok(Credential::bearer(&token, None, grant.generation()));
        }
        if connection.settings.key.is_some() {
            return Ok(Credential::bearer(&connection.secret("key").await?, None, 1));
        }
        if let Some(url) = &connection.settings.token_url
            && (grant.record().is_none() || want.rejected_generation.is_some())
        {
            let mut request = Request::post(url.as_str(), "grant_type=client_credentials");
            request.purpose = Purpose::Token;
            let answer = connection.http(request).await?;
            if answer.status != 200 {
                return Err(Error::new(ErrorCode::CredentialsRejected, format!("status {}", answer.status)));
            }
            let token = Secret::from_utf8(answer.body).ok_or_else(|| Error::invalid_response("not text"))?;
            grant.save(StoredToken { token }).await?;
        }
        let record = grant.record().ok_or_else(Error::not_logged_in)?;
        Ok(Credential::bearer(&record.token, None, grant.generation()))
    }

    fn snapshot(&self, record: &StoredToken) -> TokenSnapshot {
        if record.token.expose() == "panic" {
            panic!("{CANARY}");
        }
        TokenSnapshot::default()
    }

    async fn logout(&self, connection: &Conn, grant: &mut Grant<Self>, revoke: bool) -> Result<Revocation> {
        connection.settings.logout.perform(&connection.host).await?;
        grant.delete().await?;
        Ok(Revocation { revoked: revoke, message: String::new() })
    }
}

impl Provider for Faulty {
    const MANIFEST: Manifest = Manifest {
        description: "breaks on request",
        flows: &[Flow::Token],
        hosts: &["{token_url}"],
        commands: &["echo", "panic", "hang", "fetch"],
        paths: &[HandledPath { path: "hook", public: true }],
        events: &["app.ready", "connection.expiring"],
        ..Manifest::new("faulty", "Faulty")
    };
    type Settings = Settings;
    type Manager = Self;

    fn create(host: Host) -> Result<Self> {
        Ok(Self { host })
    }

    fn manager(&self) -> &Self {
        self
    }

    fn describe(&self, connection: &Conn) -> Result<Description> {
        connection.settings.describe.now(&connection.host)?;
        let upstream = connection.settings.upstream.clone();
        Ok(Description { upstream, flows: vec![Flow::Token], ..Description::default() })
    }

    async fn login_begin(&self, connection: &Conn, _: LoginRequest) -> Result<Step<StoredToken>> {
        connection.settings.login.perform(&connection.host).await?;
        Ok(Step::Ask { prompt: "token".into(), secret: true, state: Secret::new("state") })
    }

    async fn login_continue(&self, _: &Conn, state: Secret, input: LoginInput) -> Result<Step<StoredToken>> {
        if state.expose() != "state" {
            return Err(Error::invalid_response("this is not the state of this login"));
        }
        Ok(Step::Done(StoredToken { token: input.into_answer()? }))
    }

    async fn probe(&self, connection: &Conn, record: Option<&StoredToken>) -> Result<Account> {
        connection.settings.probe.perform(&connection.host).await?;
        if let Some(url) = &connection.settings.me_url {
            let request = Request::get(url.as_str()).header("authorization", "Bearer my own");
            let answer = connection.http_as(&Target::default(), request).await?;
            let subject = String::from_utf8_lossy(&answer.body).into_owned();
            return Ok(Account { subject, ..Account::default() });
        }
        let subject = record.map_or("nobody", |_| "ann").into();
        Ok(Account { subject, ..Account::default() })
    }

    async fn handle(&self, request: Request) -> Result<Response> {
        if request.url == "panic" {
            panic!("{CANARY}");
        }
        let headers =
            vec![("x-path".into(), request.url.into_bytes()), ("connection".into(), b"close".into())];
        Ok(Response { status: 200, headers, body: request.body })
    }

    async fn command(&self, arguments: Vec<String>) -> Result<CommandOutput> {
        match arguments.first().map(String::as_str) {
            Some("panic") => panic!("{CANARY}"),
            Some("hang") => std::future::pending().await,
            Some("fetch") => {
                let url = arguments.get(1).cloned().unwrap_or_default();
                let answer = self.host.http(Request::get(url)).await?;
                Ok(CommandOutput { stdout: answer.body, exit_code: 0 })
            }
            _ => Ok(CommandOutput { stdout: arguments.join(" ").into_bytes(), exit_code: 3 }),
        }
    }

    async fn on_event(&self, event: serde_json::Value) {
        if event["event"] == "connection.expiring" {
            panic!("{CANARY}");
        }
        let fields = serde_json::json!({ "heard": event["event"] });
        self.host.emit("echo", fields.as_object().unwrap_or(&serde_json::Map::new()));
    }
}

export_provider!(Faulty);
