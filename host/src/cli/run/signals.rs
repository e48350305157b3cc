//! Signals for a child that reach us instead.
//!
//! The child stays in our process group, so that Ctrl-C, Ctrl-Z, `fg` and a closed terminal reach both
//! as if we were not there. What the terminal sends is thus not passed on, or the child would have it
//! twice; what another process sends to us alone is.

use std::io;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::backend::Handle;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Cause;
use tokio::sync::mpsc;

const PASSED_ON: [i32; 7] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH];

/// Signals to pass on, as they arrive.
pub(super) struct Signals {
    arrived: mpsc::UnboundedReceiver<i32>,
    listening: Handle,
}

impl Signals {
    /// Listens from now on, until dropped. What our parent had us ignore (`nohup`) stays ignored, here
    /// and in the child.
    pub(super) fn listen() -> io::Result<Self> {
        let ignored = ignored();
        let wanted = PASSED_ON.into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
        let mut signals = SignalsInfo::<WithOrigin>::new(wanted)?;
        let listening = signals.handle();
        let (sender, arrived) = mpsc::unbounded_channel();
        thread::Builder::new().name("signals".into()).spawn(move || {
            let sent = signals.forever().filter(|origin| !matches!(origin.cause, Cause::Kernel));
            for origin in sent {
                if sender.send(origin.signal).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { arrived, listening })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Option<i32> {
        self.arrived.recv().await
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.listening.close();
    }
}

/// The signals that this process ignores, as a mask; none where the system does not say.
fn ignored() -> u64 {
    std::fs::read_to_string("/proc/self/status").map_or(0, |status| ignored_in(&status))
}

fn ignored_in(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pretty_assertions::assert_eq;

    #[test]
    fn the_kernel_says_what_is_ignored() {
        let status = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000440\n";
        assert_eq!(ignored_in(status), 1 << (SIGHUP - 1) | 1 << 12);
        assert_eq!(ignored_in("Name:\tccproxy\n"), 0);
    }
}
