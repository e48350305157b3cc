//! Which way to log in, and why that one.

use std::fmt;

/// The ways to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flow {
    /// Authorization code with a loopback redirect (RFC 8252).
    Browser,
    /// Device authorization (RFC 8628).
    Device,
    /// Authorization code, the redirect pasted by hand.
    Paste,
    /// RFC 6749 section 4.4: no person.
    ClientCredentials,
    /// A token or key that the person already has.
    Token,
}

impl Flow {
    const ALL: [Self; 5] = [Self::Browser, Self::Device, Self::Paste, Self::ClientCredentials, Self::Token];

    /// As settings, flags and manifests write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Device => "device",
            Self::Paste => "paste",
            Self::ClientCredentials => "client-credentials",
            Self::Token => "token",
        }
    }

    /// The flow of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flow| flow.as_str() == text)
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the choice depends on.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    /// `--flow` and its spellings.
    pub flag: Option<Flow>,
    /// The connection's `flow` setting.
    pub setting: Option<Flow>,
    /// Whether a client secret is configured and the provider says that one suffices.
    pub secret_suffices: bool,
    /// What the provider offers for these settings, best first.
    pub offered: &'a [Flow],
    /// Whether `DISPLAY`, `WAYLAND_DISPLAY` or `BROWSER` is set.
    pub display: bool,
    /// Whether `SSH_CONNECTION` is set: a browser here could not reach the person's screen.
    pub ssh: bool,
}

/// A flow and the reason to print beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The flow.
    pub flow: Flow,
    /// Why.
    pub why: &'static str,
}

/// No flow can work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFlow {
    /// What was asked for is not offered.
    #[error("this provider does not offer the flow `{wanted}`")]
    NotOffered {
        /// What was asked for.
        wanted: Flow,
        /// What is.
        offered: Vec<Flow>,
    },
    /// Nothing is offered.
    #[error("this provider offers no login for these settings")]
    Nothing,
}

/// Chooses, in the order of interface section 4.
pub fn choose(situation: &Situation<'_>) -> Result<Choice, NoFlow> {
    let offers = |flow: Flow| situation.offered.contains(&flow);
    let chosen = |flow, why| Ok(Choice { flow, why });
    for (wanted, why) in [(situation.flag, "asked for"), (situation.setting, "the connection's `flow`")] {
        if let Some(wanted) = wanted {
            // Paste is the browser flow with the redirect carried by hand.
            let offered = offers(wanted) || (wanted == Flow::Paste && offers(Flow::Browser));
            let missing = || NoFlow::NotOffered { wanted, offered: situation.offered.to_vec() };
            return if offered { chosen(wanted, why) } else { Err(missing()) };
        }
    }
    if situation.secret_suffices && offers(Flow::ClientCredentials) {
        return chosen(Flow::ClientCredentials, "a client secret is configured");
    }
    if offers(Flow::Browser) && situation.display && !situation.ssh {
        return chosen(Flow::Browser, "a browser can be opened here");
    }
    if offers(Flow::Device) {
        let why = match (situation.ssh, situation.display) {
            (true, _) => "SSH session: a browser here could not reach your screen",
            (false, false) => "no display: no browser can be opened here",
            (false, true) => "the only flow with a person that is offered",
        };
        return chosen(Flow::Device, why);
    }
    if offers(Flow::Browser) {
        return chosen(Flow::Browser, "open the URL on any device and paste the address you end up on");
    }
    match situation.offered.first() {
        Some(first) => chosen(*first, "what this provider offers"),
        None => Err(NoFlow::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    const ALL: &[Flow] = &[Flow::Browser, Flow::Device, Flow::ClientCredentials, Flow::Token];

    fn desk() -> Situation<'static> {
        Situation {
            flag: None,
            setting: None,
            secret_suffices: false,
            offered: ALL,
            display: true,
            ssh: false,
        }
    }

    fn flow(situation: &Situation<'_>) -> Flow {
        choose(situation).unwrap().flow
    }

    #[test]
    fn at_a_desk_it_is_the_browser_over_ssh_the_device() {
        assert_eq!(flow(&desk()), Flow::Browser);
        assert_eq!(flow(&Situation { ssh: true, ..desk() }), Flow::Device);
        assert_eq!(flow(&Situation { display: false, ..desk() }), Flow::Device);
    }

    #[test]
    fn a_flag_beats_the_setting_which_beats_the_secret() {
        let all = Situation {
            flag: Some(Flow::Device),
            setting: Some(Flow::Browser),
            secret_suffices: true,
            ..desk()
        };
        assert_eq!(flow(&all), Flow::Device);
        assert_eq!(flow(&Situation { flag: None, ..all.clone() }), Flow::Browser);
        assert_eq!(flow(&Situation { flag: None, setting: None, ..all }), Flow::ClientCredentials);
    }

    #[test]
    fn without_a_display_and_without_device_the_url_is_printed() {
        let offered = &[Flow::Browser];
        let choice = choose(&Situation { display: false, offered, ..desk() }).unwrap();
        assert_eq!(choice.flow, Flow::Browser);
        assert!(choice.why.contains("paste"));
    }

    #[test]
    fn what_is_not_offered_is_refused_by_name_but_paste_is_a_browser() {
        let offered = &[Flow::Browser];
        let refused = choose(&Situation { flag: Some(Flow::Device), offered, ..desk() }).unwrap_err();
        assert_eq!(refused, NoFlow::NotOffered { wanted: Flow::Device, offered: vec![Flow::Browser] });
        assert_eq!(flow(&Situation { flag: Some(Flow::Paste), offered, ..desk() }), Flow::Paste);
        assert_eq!(choose(&Situation { offered: &[], ..desk() }), Err(NoFlow::Nothing));
    }
}
