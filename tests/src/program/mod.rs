//! Programs as separate processes: started, listened to, talked to, and never left behind.

mod built;
mod finished;
mod host;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::time::timeout;

pub use built::{build_dir, ccproxy, example_plugin, faulty_plugin, plugin, plugin_dir, sandbox_program};
pub use finished::Finished;
pub use host::Host;

/// What a story waits for takes no longer, even on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running program. Dropped, it is killed: by its handle, so never another process that got its number.
pub struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Heard,
    stderr: Heard,
}

impl Program {
    #[track_caller]
    pub fn spawn(mut command: Command) -> Self {
        let name = Path::new(command.as_std().get_program()).file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        let stdin = child.stdin.take();
        let stdout = Heard::listen(child.stdout.take().expect("stdout is piped"));
        let stderr = Heard::listen(child.stderr.take().expect("stderr is piped"));
        Self { name, child, stdin, stdout, stderr }
    }

    /// The process id; panics once the program has ended.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_else(|| panic!("{} has ended", self.name))
    }

    /// The next line on stdout that was not asked for yet and satisfies a predicate.
    pub async fn stdout_line(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let line = timeout(PATIENCE, self.stdout.line(wanted)).await;
        line.ok().flatten().unwrap_or_else(|| panic!("the line never came\n{}", self.said()))
    }

    /// The next line on stderr that was not asked for yet and satisfies a predicate.
    pub async fn stderr_line(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let line = timeout(PATIENCE, self.stderr.line(wanted)).await;
        line.ok().flatten().unwrap_or_else(|| panic!("the line never came\n{}", self.said()))
    }

    /// The next line on stdout, as JSON.
    pub async fn json_line(&mut self) -> Value {
        let line = self.stdout_line(|_| true).await;
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("not JSON: {line} ({e})\n{}", self.said()))
    }

    /// The next JSON line on stdout whose member has this value.
    pub async fn json_line_with(&mut self, member: &str, value: impl Into<Value>) -> Value {
        let value = value.into();
        let parse = |line: &str| serde_json::from_str::<Value>(line).unwrap_or_default();
        parse(&self.stdout_line(|line| parse(line)[member] == value).await)
    }

    /// Types a line.
    pub async fn write_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        stdin.write_all(format!("{line}\n").as_bytes()).await.expect("the program reads its stdin");
    }

    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process id is positive");
        kill_process(pid, signal).expect("the program is ours");
    }

    /// Everything on stdout so far.
    pub fn stdout_so_far(&self) -> String {
        self.stdout.text()
    }

    /// Everything on stderr so far.
    pub fn stderr_so_far(&self) -> String {
        self.stderr.text()
    }

    /// Closes stdin and waits for the end.
    pub async fn finish(self) -> Finished {
        self.finish_within(PATIENCE).await
    }

    /// Closes stdin and waits for the end of a program that takes its time.
    pub async fn finish_within(mut self, patience: Duration) -> Finished {
        self.close_stdin();
        let Ok(status) = timeout(patience, self.child.wait()).await else {
            panic!("{} does not end\n{}", self.name, self.said());
        };
        let status = status.expect("a child can be waited for");
        // A grandchild that holds the pipes open must not hold up the story.
        for heard in [&mut self.stdout, &mut self.stderr] {
            _ = timeout(PATIENCE, heard.end()).await;
        }
        Finished { status, stdout: self.stdout.text(), stderr: self.stderr.text() }
    }

    /// Asks the program to end and waits until it has.
    pub async fn stop(self) -> Finished {
        self.signal(Signal::TERM);
        self.finish().await
    }

    fn said(&self) -> String {
        format!("{} said\n--- stdout\n{}--- stderr\n{}", self.name, self.stdout.text(), self.stderr.text())
    }
}

/// One output of a program, kept whole while it grows.
struct Heard {
    text: watch::Receiver<Vec<u8>>,
    /// How much of it has been asked for.
    read: usize,
}

impl Heard {
    fn listen(mut pipe: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let (sender, text) = watch::channel(Vec::new());
        tokio::spawn(async move {
            let mut chunk = vec![0; 8192];
            while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
                sender.send_modify(|text| text.extend_from_slice(&chunk[..length]));
            }
        });
        Self { text, read: 0 }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.borrow()).into_owned()
    }

    /// None where the output ends first.
    async fn line(&mut self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        loop {
            let mut lines = Vec::new();
            {
                let text = self.text.borrow_and_update();
                for line in
                    text[self.read..].split_inclusive(|&byte| byte == b'\n').filter(|l| l.ends_with(b"\n"))
                {
                    lines.push((line.len(), String::from_utf8_lossy(line).trim_end().to_owned()));
                }
            }
            for (length, line) in lines {
                self.read += length;
                if wanted(&line) {
                    return Some(line);
                }
            }
            self.text.changed().await.ok()?;
        }
    }

    async fn end(&mut self) {
        while self.text.changed().await.is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use pretty_assertions::assert_eq;

    use super::*;

    fn shell(script: &str) -> Program {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        Program::spawn(command)
    }

    #[tokio::test]
    async fn output_exit_code_and_stdin_are_kept_apart() {
        let mut program = shell("read word; echo out $word; echo err >&2; exit 3");
        program.write_line("hello").await;
        let finished = program.finish().await.expect_code(3);
        assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("out hello\n", "err\n"));
    }

    #[tokio::test]
    async fn lines_are_read_while_the_program_runs_each_once() {
        let mut program = shell("echo one; echo two; printf '{\"step\":\"done\"}\\n'; cat");
        assert_eq!(program.stdout_line(|_| true).await, "one");
        assert_eq!(program.stdout_line(|line| line != "one").await, "two");
        assert_eq!(program.json_line_with("step", "done").await["step"], "done");
        assert_eq!(program.finish().await.stdout, "one\ntwo\n{\"step\":\"done\"}\n");
    }

    #[tokio::test]
    #[should_panic(expected = "the line never came")]
    async fn a_line_that_never_comes_fails_as_soon_as_the_output_ends() {
        shell("echo one").stdout_line(|line| line == "two").await;
    }

    #[tokio::test]
    async fn a_dropped_program_is_killed() {
        let program = shell("exec sleep 600");
        let proc = format!("/proc/{}/stat", program.pid());
        drop(program);
        let gone = async {
            // A zombie that nobody has waited for yet is dead, too.
            while std::fs::read_to_string(&proc).is_ok_and(|stat| !stat.contains(") Z ")) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), gone).await.expect("it dies");
    }

    #[tokio::test]
    async fn stopping_is_a_request_that_a_program_can_answer() {
        let started = Instant::now();
        let mut program = shell("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done");
        program.stdout_line(|line| line == "ready").await;
        assert_eq!(program.stop().await.expect_code(7).stdout, "ready\nbye\n");
        assert!(started.elapsed() < PATIENCE);
    }
}
