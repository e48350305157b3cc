//! A script at the admin socket of a running host.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::crowd::Regular;
use crate::home::Home;
use crate::http_client::Answer;

/// A script that keeps its connection.
pub struct Script(Regular);

impl Script {
    pub async fn at(home: &Home) -> Self {
        Self(Regular::connect_unix(&home.admin_socket()).await)
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.0.get(path).await
    }

    pub async fn post(&mut self, path: &str, body: Value) -> (u16, Value) {
        let answer = self.0.post(path, &body).await;
        (answer.status.as_u16(), answer.json())
    }

    /// Sends a request with a JSON body, or with none where it is null.
    pub async fn send(&mut self, method: Method, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = http::Request::builder().method(method).uri(path);
        self.0.send(request.header("content-type", "application/json"), body).await
    }

    /// Starts a login and answers its id.
    pub async fn start(&mut self, body: Value) -> String {
        self.start_at("/api/v1/logins", body).await
    }

    /// The same at the path of a connection.
    pub async fn start_at(&mut self, path: &str, body: Value) -> String {
        let (status, login) = self.post(path, body).await;
        assert_eq!(status, 200, "{login}");
        login["id"].as_str().expect("a login has an id").to_owned()
    }

    /// Polls until the login is at a step.
    pub async fn until(&mut self, id: &str, step: &str) -> Value {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let login = self.get(&format!("/api/v1/logins/{id}")).await.json();
            if login["step"] == step {
                return login;
            }
            let over = ["done", "failed", "cancelled"].iter().any(|last| login["step"] == *last);
            assert!(!over && Instant::now() < deadline, "no {step}: {login}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}
