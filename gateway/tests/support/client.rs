//! An HTTP client of plain bytes, one connection at a time.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long the client waits for any byte.
const READ_WAIT: Duration = Duration::from_secs(120);
/// Times twenty seconds until a command that is waited for is given up.
const ASKED_TIMES_MAX: u32 = 15;

#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
    token: Option<String>,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// The body, where it is JSON.
    pub json: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Client {
    pub fn to(address: SocketAddr) -> Client {
        Client { address, stream: None, token: None }
    }

    pub fn with_token(mut self, token: &str) -> Client {
        self.token = Some(token.to_owned());
        self
    }

    /// The same person at another gateway.
    pub fn at(&self, address: SocketAddr) -> Client {
        Client { address, ..self.another() }
    }

    /// Another connection of the same person.
    pub fn another(&self) -> Client {
        Client { address: self.address, stream: None, token: self.token.clone() }
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.json("POST", path, &[], body)
    }

    pub fn put(&mut self, path: &str, body: &Value) -> Answer {
        self.json("PUT", path, &[], body)
    }

    pub fn json(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.send(method, path, &all, body.to_string().as_bytes())
    }

    /// A command that waits for its outcome; asked again where a slow machine has not decided it yet.
    pub fn waited(&mut self, method: &str, path: &str, key: &str, body: &Value) -> Answer {
        let headers = [("idempotency-key", key), ("prefer", "wait=20")];
        for _ in 0..ASKED_TIMES_MAX {
            let answer = self.json(method, path, &headers, body);
            if answer.status != 202 {
                return answer;
            }
        }
        panic!("{method} {path} is never decided");
    }

    /// A command that does not.
    pub fn accepted(&mut self, method: &str, path: &str, key: &str, body: &Value) -> Answer {
        self.json(method, path, &[("idempotency-key", key)], body)
    }

    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: test\r\n");
        if let Some(token) = &self.token {
            request += &format!("authorization: Bearer {token}\r\n");
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            request += &format!("content-length: {}\r\n", body.len());
        }
        let mut bytes = (request + "\r\n").into_bytes();
        bytes.extend_from_slice(body);
        // A connection that the server closed meanwhile is opened again.
        for _ in 0..2 {
            let fresh = self.stream.is_none();
            let stream = self.stream.get_or_insert_with(|| connect(self.address));
            if stream.write_all(&bytes).is_ok()
                && let Some(answer) = read_answer(stream, method == "HEAD")
            {
                if answer.header("connection") == Some("close") {
                    self.stream = None;
                }
                return answer;
            }
            self.stream = None;
            assert!(!fresh, "no answer to {method} {path}");
        }
        panic!("no answer to {method} {path}");
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(READ_WAIT)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends bytes as they are and reads answers until the server closes.
pub fn raw(address: SocketAddr, bytes: &[u8]) -> Vec<Answer> {
    let mut stream = connect(address);
    // The server may close before all is sent.
    let _ = stream.write_all(bytes);
    let mut answers = Vec::new();
    while let Some(answer) = read_answer(&mut stream, false) {
        answers.push(answer);
    }
    answers
}

/// The next answer, or `None` when the connection ended.
pub fn read_answer(stream: &mut TcpStream, is_head: bool) -> Option<Answer> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut answer = Answer { status, headers, ..Answer::default() };
    if status == 100 {
        return read_answer(stream, is_head);
    }
    let length = answer.header("content-length").map(|text| text.parse::<usize>().unwrap());
    let mut body = Vec::new();
    match length {
        _ if is_head || status == 304 => {}
        Some(length) => {
            body.resize(length, 0);
            stream.read_exact(&mut body).ok()?;
        }
        None => {
            let _ = stream.read_to_end(&mut body);
        }
    }
    answer.body = String::from_utf8(body).unwrap();
    answer.json = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
    Some(answer)
}

/// The problem's slug.
pub fn slug(answer: &Answer) -> &str {
    let kind = answer.json["type"].as_str().unwrap_or_default();
    kind.strip_prefix("/problems/").unwrap_or_default()
}
