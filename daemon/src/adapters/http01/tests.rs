use std::sync::Mutex;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::*;

const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";

fn known() -> Lookup {
    Arc::new(|host| (host == "www.staging.example.com").then(|| "thumb".to_owned()))
}

async fn listener() -> Running {
    start("127.0.0.1:0", known()).await.unwrap()
}

/// Sends it as it stands and reads until the far side closes.
async fn talk(running: &Running, request: &str) -> String {
    let mut stream = TcpStream::connect(running.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    time::timeout(Duration::from_secs(20), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

async fn get(running: &Running, path: &str, host: &str) -> String {
    talk(running, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await
}

fn path(token: &str) -> String {
    format!("/.well-known/acme-challenge/{token}")
}

fn is_empty_404(answer: &str) -> bool {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    head.starts_with("HTTP/1.1 404 ") && body.is_empty()
}

#[tokio::test]
async fn a_token_of_a_known_host_is_answered_with_the_thumbprint() {
    let running = listener().await;
    let answer = get(&running, &path(TOKEN), "www.staging.example.com").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert_eq!(body, format!("{TOKEN}.thumb"));
    let lower = head.to_ascii_lowercase();
    for header in ["content-type: text/plain", "x-content-type-options: nosniff", "connection: close"] {
        assert!(lower.contains(header), "{head}");
    }
}

#[tokio::test]
async fn the_host_is_read_without_case_port_and_dot() {
    let running = listener().await;
    for host in [
        "WWW.staging.Example.com",
        "www.staging.example.com:80",
        "www.staging.example.com.",
        "www.staging.example.com.:8080",
    ] {
        assert!(get(&running, &path(TOKEN), host).await.ends_with(".thumb"), "{host}");
    }
    let absolute = format!("GET http://www.staging.example.com{} HTTP/1.1\r\nHost: other.example\r\n\r\n", path(TOKEN));
    assert!(talk(&running, &absolute).await.ends_with(".thumb"));
}

#[tokio::test]
async fn any_other_host_is_not_found() {
    let running = listener().await;
    for host in [
        "other.example",
        "",
        "staging.example.com",
        "www.staging.example.com:x",
        "[::1]:80",
        "www_staging",
        "a@www.staging.example.com",
    ] {
        let answer = get(&running, &path(TOKEN), host).await;
        assert!(is_empty_404(&answer) || answer.starts_with("HTTP/1.1 400 "), "{host}: {answer}");
    }
    let twice = format!("GET {} HTTP/1.1\r\nHost: www.staging.example.com\r\nHost: other.example\r\n\r\n", path(TOKEN));
    assert!(!talk(&running, &twice).await.contains("thumb"));
    let none = format!("GET {} HTTP/1.0\r\n\r\n", path(TOKEN));
    assert!(!talk(&running, &none).await.contains("thumb"));
}

#[tokio::test]
async fn a_token_of_another_form_is_not_found() {
    let running = listener().await;
    let odd = [
        "",
        "short",
        &"a".repeat(21),
        &"a".repeat(129),
        &format!("{TOKEN}/"),
        &format!("{TOKEN}?a=b"),
        &format!("{TOKEN}%20"),
        &format!("../{TOKEN}"),
        &format!("{TOKEN}.thumb"),
    ];
    for token in odd {
        assert!(is_empty_404(&get(&running, &path(token), "www.staging.example.com").await), "{token}");
    }
    for token in [&"a".repeat(22), &"_-9Z".repeat(32)] {
        assert!(get(&running, &path(token), "www.staging.example.com").await.ends_with("thumb"), "{token}");
    }
}

#[tokio::test]
async fn everything_else_is_not_found_and_says_nothing() {
    let running = listener().await;
    for other in ["/", "/metrics", "/.well-known/acme-challenge", "/.WELL-KNOWN/acme-challenge/x"] {
        assert!(is_empty_404(&get(&running, other, "www.staging.example.com").await), "{other}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "BREW"] {
        let request =
            format!("{method} {} HTTP/1.1\r\nHost: www.staging.example.com\r\nContent-Length: 0\r\n\r\n", path(TOKEN));
        let answer = talk(&running, &request).await;
        assert!(!answer.contains("thumb") && !answer.starts_with("HTTP/1.1 2"), "{method}: {answer}");
    }
    let head = format!("HEAD {} HTTP/1.1\r\nHost: www.staging.example.com\r\n\r\n", path(TOKEN));
    let answer = talk(&running, &head).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.contains("thumb"), "{answer}");
}

#[tokio::test]
async fn headers_that_are_too_large_or_too_many_are_refused() {
    let running = listener().await;
    let large =
        format!("GET {} HTTP/1.1\r\nHost: www.staging.example.com\r\nX: {}\r\n\r\n", path(TOKEN), "a".repeat(64 << 10));
    let mut stream = TcpStream::connect(running.address()).await.unwrap();
    // The listener may close before it has read everything.
    let _ = stream.write_all(large.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("thumb"));
    let many = "X: a\r\n".repeat(MOST_HEADERS + 1);
    let answer =
        talk(&running, &format!("GET {} HTTP/1.1\r\nHost: www.staging.example.com\r\n{many}\r\n", path(TOKEN))).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn whoever_dribbles_is_cut_off_and_holds_nobody_up() {
    let running = listener().await;
    let mut slow = TcpStream::connect(running.address()).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert!(get(&running, &path(TOKEN), "www.staging.example.com").await.ends_with("thumb"));
    let mut rest = Vec::new();
    let closed = time::timeout(HEADERS_WITHIN + Duration::from_secs(10), slow.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "the connection is closed once the headers took too long");
}

#[tokio::test]
async fn more_connections_than_places_wait_for_their_turn() {
    let running = listener().await;
    let mut held = Vec::new();
    for _ in 0..MOST_CONNECTIONS {
        held.push(TcpStream::connect(running.address()).await.unwrap());
    }
    let path = path(TOKEN);
    let waiting = get(&running, &path, "www.staging.example.com");
    let (answer, ()) = futures::join!(waiting, async { drop(held) });
    assert!(answer.ends_with("thumb"));
}

#[tokio::test]
async fn stopping_frees_the_port() {
    let running = listener().await;
    let address = running.address();
    running.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
    let again = start(&address.to_string(), known()).await.unwrap();
    drop(again);
}

#[tokio::test]
async fn every_answer_is_told() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&told);
    let running =
        start_observed("127.0.0.1:0", known(), Arc::new(move |answered| hears.lock().unwrap().push(answered)))
            .await
            .unwrap();
    get(&running, &path(TOKEN), "www.staging.example.com").await;
    get(&running, &path(TOKEN), "other.example").await;
    get(&running, "/", "other.example").await;
    assert_eq!(*told.lock().unwrap(), [Answered::Authorised, Answered::UnknownHost, Answered::NoChallenge]);
}
