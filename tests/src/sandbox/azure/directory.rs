//! Who is known here: tenants, the people in them, registered apps.

use super::problem::Problem;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tenant {
    pub(super) id: &'static str,
    domain: &'static str,
}

const CONTOSO: Tenant = Tenant { id: "c0c0c0c0-1111-2222-3333-444444444444", domain: "contoso.example" };
const FABRIKAM: Tenant = Tenant { id: "fafafafa-1111-2222-3333-444444444444", domain: "fabrikam.example" };
/// Where all personal accounts live; the GUID is the real one.
const PERSONAL: Tenant = Tenant { id: "9188040d-6c67-4c5b-b112-36a304b66dad", domain: "live.example" };

impl Tenant {
    const ALL: [&'static Self; 3] = [&CONTOSO, &FABRIKAM, &PERSONAL];

    /// The home of a person: `fay` works at Fabrikam, `pam` has a personal account, everybody else works at
    /// Contoso.
    fn home_of(user: &str) -> &'static Self {
        match user {
            "fay" => &FABRIKAM,
            "pam" => &PERSONAL,
            _ => &CONTOSO,
        }
    }

    /// One tenant, by id or domain.
    pub(super) fn single(named: &str) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|tenant| tenant.id == named || tenant.domain == named)
    }

    /// The tenant that a person is signed in to at the endpoints of `named`.
    pub(super) fn of_user(named: &str, user: &str) -> Result<&'static Self, Problem> {
        let home = Self::home_of(user);
        let admitted = match named {
            "common" => true,
            "organizations" => home != &PERSONAL,
            "consumers" => home == &PERSONAL,
            // A guest is signed in to the tenant that was asked for.
            _ => return Self::single(named).ok_or_else(|| Problem::no_such_tenant(named)),
        };
        if admitted { Ok(home) } else { Err(Problem::not_in_tenant(user, named)) }
    }
}

/// Whether `named` is something that endpoints know.
pub(super) fn check_tenant(named: &str) -> Result<(), Problem> {
    let known = ["common", "organizations", "consumers"].contains(&named) || Tenant::single(named).is_some();
    if known { Ok(()) } else { Err(Problem::no_such_tenant(named)) }
}

/// An app registration.
#[derive(Clone, Copy, Debug)]
pub(super) struct App {
    pub(super) client_id: &'static str,
    /// None: a public client, which must not send one.
    secret: Option<&'static str>,
    /// Roles that the app gives everybody.
    pub(super) roles: &'static [&'static str],
}

const APPS: [App; 2] = [
    App { client_id: "az-public", secret: None, roles: &[] },
    // Every character that form-urlencoding changes, so a client that forgets it is found out.
    App {
        client_id: "az-confidential",
        secret: Some("az:se+cr/et &= %"),
        roles: &["Task.Read", "Task.Write"],
    },
];

impl App {
    pub(super) fn find(client_id: Option<&str>) -> Result<Self, Problem> {
        let found = APPS.into_iter().find(|app| Some(app.client_id) == client_id);
        found.ok_or_else(|| Problem::no_such_app(client_id.unwrap_or_default()))
    }

    pub(super) fn authenticate(self, secret: Option<&str>) -> Result<(), Problem> {
        match (self.secret, secret) {
            (None, None) => Ok(()),
            (Some(own), Some(given)) if own == given => Ok(()),
            (Some(_), Some(_)) => Err(Problem::wrong_secret(self.client_id)),
            (Some(_), None) => Err(Problem::secret_missing()),
            (None, Some(_)) => Err(Problem::secret_of_public_client()),
        }
    }

    pub(super) fn is_public(self) -> bool {
        self.secret.is_none()
    }
}

/// The object id of a person, the same for every app.
pub(super) fn object_id(user: &str) -> String {
    let number = user.bytes().fold(7_u64, |id, byte| (id * 31 + u64::from(byte)) % 1_000_000_000_000);
    format!("0b1ec700-1111-2222-3333-{number:012}")
}
