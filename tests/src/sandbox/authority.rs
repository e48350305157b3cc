//! The authorization server's whole state, behind one lock that is never held across an await.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::authorize::AuthorizationRequest;
use super::clients::Client;
use super::faults::Faults;
use super::keys::SigningKeys;
use super::log::Log;
use super::settings::Settings;
use super::store::{Store, TokenState};

pub(crate) struct Authority {
    initial: Settings,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) clients: Vec<Client>,
    pub(crate) keys: SigningKeys,
    pub(crate) store: Store,
    /// Authorization requests that wait on the approval page, by the id in its form.
    pub(crate) waiting: HashMap<String, AuthorizationRequest>,
    /// Apps (by client id) and tenants of Entra whose administrator consented for everybody.
    pub(crate) admin_consents: HashSet<(String, String)>,
    pub(crate) faults: Faults,
    pub(crate) log: Log,
}

impl State {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            clients: Client::baked_in(),
            keys: SigningKeys::fixed(),
            store: Store::default(),
            waiting: HashMap::new(),
            admin_consents: HashSet::new(),
            faults: Faults::default(),
            log: Log::default(),
        }
    }

    pub(crate) fn client(&self, id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.id == id)
    }
}

impl Authority {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { initial: settings.clone(), state: Mutex::new(State::new(settings)) }
    }

    /// A panic in another handler has been printed already; the others go on with what is there.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn reset(&self) {
        let mut state = self.lock();
        let log = state.log.next_life();
        *state = State { log, ..State::new(self.initial.clone()) };
    }

    pub(crate) fn token_state(&self, token: Option<&str>) -> TokenState {
        token.map_or(TokenState::Absent, |token| self.lock().store.access_state(token))
    }
}
