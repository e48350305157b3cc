//! Several processes: the others are this test binary again, told by the environment which part to play.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};

use pretty_assertions::assert_eq;

use super::*;

const PART: &str = "CCPROXY_TEST_PART";
const STATE: &str = "CCPROXY_TEST_STATE";

fn second_process(part: &str, state: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "vault::tests::processes::the_part_of_a_second_process", "--nocapture"])
        .env(PART, part)
        .env(STATE, state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What follows `mark` on the lines of a process that have it: the test harness prints on them too.
fn lines_with(process: &mut Child, mark: &'static str) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
    lines.filter_map(move |line| Some(line.split_once(mark)?.1.to_owned()))
}

#[test]
fn the_part_of_a_second_process() {
    let Ok(part) = std::env::var(PART) else { return };
    let vault = Vault::open(Path::new(&std::env::var_os(STATE).unwrap())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match part.as_str() {
            "count" => drop(count(&vault, 50).await),
            "count for ever" => loop {
                println!("stored {}", count(&vault, 1).await);
            },
            "hold" => {
                let _lease = vault.begin(&id("github"), owner("github"), Purpose::Login).await.unwrap();
                println!("holding");
                std::future::pending::<()>().await;
            }
            umask => {
                let bits = u32::from_str_radix(umask, 8).unwrap();
                rustix::process::umask(rustix::fs::Mode::from_bits_retain(bits));
                store(&vault, "github", "{}").await;
            }
        }
    });
}

/// Adds one to the number that is the record, each time in a transaction of its own.
async fn count(vault: &Vault, times: u32) -> u32 {
    let mut last = 0;
    for _ in 0..times {
        let lease = vault.begin(&id("counter"), owner("github"), Purpose::Acquire).await.unwrap();
        let record = lease.transaction().record();
        let number = record.map_or(0, |bytes| std::str::from_utf8(bytes.expose()).unwrap().parse().unwrap());
        last = number + 1_u32;
        lease.transaction().put(last.to_string().as_bytes(), view("default")).unwrap();
    }
    last
}

#[tokio::test]
async fn no_update_is_lost_between_processes() {
    let (state, vault) = file_vault();
    let others: Vec<_> = (0..3).map(|_| second_process("count", state.path())).collect();
    count(&vault, 50).await;
    for mut other in others {
        assert!(other.wait().unwrap().success());
    }
    assert_eq!(payload(&vault, "counter").unwrap(), "200");
    assert_eq!(names(&state.path().join("credentials/global")), ["counter.json", "counter.lock"]);
}

#[tokio::test]
async fn what_a_process_said_it_stored_is_there_after_it_was_killed() {
    let (state, vault) = file_vault();
    for round in 1..=10 {
        let mut other = second_process("count for ever", state.path());
        let mut said = lines_with(&mut other, "stored ");
        let said: u32 = said.nth(round).unwrap().parse().unwrap();
        other.kill().unwrap();
        other.wait().unwrap();
        let number: u32 = payload(&vault, "counter").unwrap().parse().unwrap();
        assert!(number >= said, "{said} was stored, {number} is there");
        assert_eq!(count(&vault, 1).await, number + 1);
        assert_eq!(names(&state.path().join("credentials/global")), ["counter.json", "counter.lock"]);
    }
}

#[tokio::test]
async fn the_lock_of_a_killed_process_is_free_at_once() {
    let (state, vault) = file_vault();
    let mut other = second_process("hold", state.path());
    lines_with(&mut other, "holding").next().unwrap();
    let brief = Duration::from_millis(30);
    let refused = vault.begin_within(&id("github"), owner("github"), Purpose::Login, brief).await;
    assert_eq!(refused.err().unwrap().code, Code::Storage);
    other.kill().unwrap();
    other.wait().unwrap();
    store(&vault, "github", "{}").await;
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    for umask in ["000", "022", "077", "777"] {
        let (state, _vault) = file_vault();
        assert!(second_process(umask, state.path()).wait().unwrap().success());
        let mode = |path: &str| fs::metadata(state.path().join(path)).unwrap().mode() & 0o7777;
        assert_eq!(
            (mode("credentials"), mode("credentials/global"), mode("credentials/global/github.json")),
            (0o700, 0o700, 0o600),
            "under umask {umask}"
        );
    }
}
