use ccproxy_plugin_sdk::*;

#[derive(serde::Deserialize, schemars::JsonSchema)]
pub struct Settings {
    upstream: Option<String>,
}
type Conn = Connection<Settings>;
pub struct Hello;

impl JsonTokenStorage for Hello {
    type Record = StoredToken;
    const SCHEMA_VERSION: u32 = 1;
}

impl TokenManager for Hello {
    type Settings = Settings;
    type Storage = Self;
    async fn acquire(&self, _: &Conn, grant: &mut Grant<Self>, _: &Want) -> Result<Credential> {
        let record = grant.record().ok_or_else(Error::not_logged_in)?;
        Ok(Credential::bearer(&record.token, None, grant.generation()))
    }
}

impl Provider for Hello {
    const MANIFEST: Manifest = Manifest { flows: &[Flow::Token], ..Manifest::new("hello", "Hello") };
    type Settings = Settings;
    type Manager = Self;
    fn create(_: Host) -> Result<Self> {
        Ok(Self)
    }
    fn manager(&self) -> &Self {
        self
    }
    fn describe(&self, connection: &Conn) -> Result<Description> {
        let upstream = connection.settings.upstream.clone();
        Ok(Description { upstream, flows: vec![Flow::Token], ..Description::default() })
    }
    async fn login_begin(&self, _: &Conn, _: LoginRequest) -> Result<Step<StoredToken>> {
        Ok(Step::Ask { prompt: "token".into(), secret: true, state: Secret::new("") })
    }
    async fn login_continue(&self, _: &Conn, _: Secret, input: LoginInput) -> Result<Step<StoredToken>> {
        Ok(Step::Done(StoredToken { token: input.into_answer()? }))
    }
}

export_provider!(Hello);
