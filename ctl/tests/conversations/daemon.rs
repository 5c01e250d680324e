//! A daemon that knows one world by heart and answers over a socket as the real one does.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::UnixListener, runtime::Runtime};

use crate::world::World;

/// A running daemon in a folder of its own.
pub(crate) struct Daemon {
    folder: tempfile::TempDir,
    heard: Arc<Mutex<Heard>>,
    _runtime: Runtime,
}

/// What it was asked.
#[derive(Default)]
struct Heard {
    asked: Vec<String>,
    bodies: Vec<String>,
    looks: BTreeMap<String, usize>,
}

impl Daemon {
    pub(crate) fn start(world: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy_journals(folder.path());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let heard = Arc::<Mutex<Heard>>::default();
        let guard = runtime.enter();
        let listen = || UnixListener::bind(folder.path().join("admin.sock")).unwrap();
        match world {
            "nobody" => {}
            "gone" => drop(listen()),
            "rude" => drop(runtime.spawn(hang_up(listen()))),
            name => drop(runtime.spawn(serve(listen(), Arc::new(World::named(name)), heard.clone()))),
        }
        drop(guard);
        Self { folder, heard, _runtime: runtime }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `clavigerctl` in the daemon's folder, in an empty environment.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clavigerctl"));
        command.args(words).current_dir(self.folder()).env_clear();
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Method and path of everything it was asked, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.heard.lock().unwrap().asked.clone()
    }

    /// The bodies that came with it.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.heard.lock().unwrap().bodies.clone()
    }
}

/// Take every call and end it without a word.
async fn hang_up(listener: UnixListener) {
    while let Ok((stream, _)) = listener.accept().await {
        drop(stream);
    }
}

async fn serve(listener: UnixListener, world: Arc<World>, heard: Arc<Mutex<Heard>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (world, heard) = (world.clone(), heard.clone());
        let answer = service_fn(move |request| {
            let (world, heard) = (world.clone(), heard.clone());
            async move { Ok::<_, Infallible>(answer(&world, &heard, request).await) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}

async fn answer(world: &World, heard: &Mutex<Heard>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().unwrap().as_str().to_owned();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let look = hear(heard, &head.method, &path, &body);
    let (status, text) = world.answer(&head.method, &path, &body, look);
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// Write down what was asked, and count how often.
fn hear(heard: &Mutex<Heard>, method: &Method, path: &str, body: &str) -> usize {
    let mut heard = heard.lock().unwrap();
    let asked = format!("{method} {path}");
    heard.asked.push(asked.clone());
    if !body.is_empty() {
        heard.bodies.push(body.to_owned());
    }
    let looks = heard.looks.entry(asked).or_default();
    *looks += 1;
    *looks
}

/// The journals that conversations speak of lie in the folder that they are held in.
fn copy_journals(folder: &Path) {
    let source = PathBuf::from(crate::script::FOLDER).join("journals");
    for entry in std::fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
}
