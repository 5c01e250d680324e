//! The resolver against small name servers on loopback.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use claviger_core::{
    domain::effect::{DnsAnswer, DnsQuestion, RecordType},
    ports::Dns,
};
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{
        Name, RData, Record,
        rdata::{A, AAAA, CAA, CNAME, NS, SOA, TXT},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

use super::resolver::{Patience, Resolver};

const IMPATIENT: Patience = Patience { question: Duration::from_secs(2), server: Duration::from_millis(300) };

/// What a name server says to a question.
enum Says {
    Code(ResponseCode),
    Nothing,
    Records(Vec<Record>),
    Referral,
    /// Cut short over UDP, whole over TCP.
    Whole(Vec<Record>),
}

struct NameServer {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl NameServer {
    async fn saying(say: impl Fn(&Query) -> Says + Send + Sync + 'static) -> Self {
        let say = Arc::new(say);
        let asked = Arc::new(AtomicUsize::new(0));
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        tokio::spawn(over_udp(udp, say.clone(), asked.clone()));
        tokio::spawn(over_tcp(tcp, say));
        Self { address, asked }
    }

    async fn answering(records: Vec<Record>) -> Self {
        Self::saying(move |_| Says::Records(records.clone())).await
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// The same port twice: a port that is free for UDP may be taken for TCP.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

type Say<F> = Arc<F>;

async fn over_udp<F: Fn(&Query) -> Says>(socket: UdpSocket, say: Say<F>, asked: Arc<AtomicUsize>) {
    let mut packet = [0; 4_096];
    while let Ok((length, peer)) = socket.recv_from(&mut packet).await {
        asked.fetch_add(1, Ordering::SeqCst);
        if let Some(reply) = reply(&packet[..length], &*say, true) {
            socket.send_to(&reply, peer).await.unwrap();
        }
    }
}

async fn over_tcp<F: Fn(&Query) -> Says + Send + Sync + 'static>(listener: TcpListener, say: Say<F>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let say = say.clone();
        tokio::spawn(async move {
            while let Ok(length) = stream.read_u16().await {
                let mut packet = vec![0; length.into()];
                stream.read_exact(&mut packet).await.unwrap();
                if let Some(reply) = reply(&packet, &*say, false) {
                    stream.write_u16(reply.len() as u16).await.unwrap();
                    stream.write_all(&reply).await.unwrap();
                }
            }
        });
    }
}

fn reply<F: Fn(&Query) -> Says>(packet: &[u8], say: &F, cuts: bool) -> Option<Vec<u8>> {
    let request = Message::from_vec(packet).unwrap();
    let query = request.queries[0].clone();
    let mut reply = Message::new(request.metadata.id, MessageType::Response, OpCode::Query);
    reply.add_query(query.clone());
    match say(&query) {
        Says::Code(code) => {
            reply.metadata.response_code = code;
            if matches!(code, ResponseCode::NXDomain | ResponseCode::NoError) {
                let start = SOA::new(name("ns.example."), name("mail.example."), 1, 60, 60, 60, 60);
                reply.add_authority(Record::from_rdata(name("example."), 60, RData::SOA(start)));
            }
        }
        Says::Nothing => return None,
        Says::Records(records) => _ = reply.add_answers(records),
        Says::Referral => {
            let elsewhere = RData::NS(NS(name("ns.elsewhere.example.")));
            reply.add_authority(Record::from_rdata(name("example."), 60, elsewhere));
        }
        Says::Whole(_) if cuts => reply.metadata.truncation = true,
        Says::Whole(records) => _ = reply.add_answers(records),
    }
    Some(reply.to_vec().unwrap())
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn record(owner: &str, data: RData) -> Record {
    Record::from_rdata(name(owner), 60, data)
}

fn alias(owner: &str, target: &str) -> Record {
    record(owner, RData::CNAME(CNAME(name(target))))
}

fn address(owner: &str, last: u8) -> Record {
    record(owner, RData::A(A::new(192, 0, 2, last)))
}

fn text(owner: &str, chunks: &[&str]) -> Record {
    record(owner, RData::TXT(TXT::new(chunks.iter().map(|chunk| (*chunk).to_owned()).collect())))
}

fn question(r#type: RecordType) -> DnsQuestion {
    DnsQuestion { name: "Shop.Customer.example".to_owned(), r#type }
}

async fn ask(servers: &[&NameServer], r#type: RecordType) -> DnsAnswer {
    let addresses = servers.iter().map(|server| server.address).collect();
    let resolver = Resolver::patient(addresses, IMPATIENT).unwrap();
    let mut answers = resolver.ask(&[question(r#type)]).await.unwrap();
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

async fn values(records: Vec<Record>, r#type: RecordType) -> Option<Vec<String>> {
    ask(&[&NameServer::answering(records).await], r#type).await.values
}

const SHOP: &str = "shop.customer.example.";

#[tokio::test]
async fn a_cname_question_tells_the_direct_target_and_not_the_end_of_the_chain() {
    let chain = vec![
        alias(SHOP, "Edge.Saas.Example."),
        alias("edge.saas.example.", "end.example."),
        address("end.example.", 1),
    ];
    assert_eq!(values(chain.clone(), RecordType::Cname).await.unwrap(), ["edge.saas.example"]);
    assert_eq!(values(chain, RecordType::A).await.unwrap(), ["192.0.2.1"]);
}

#[tokio::test]
async fn values_are_text_and_in_an_order_of_their_own() {
    let addresses = vec![address(SHOP, 9), address(SHOP, 2), address(SHOP, 9)];
    assert_eq!(values(addresses, RecordType::A).await.unwrap(), ["192.0.2.2", "192.0.2.9"]);
    let six = record(SHOP, RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)));
    assert_eq!(values(vec![six], RecordType::Aaaa).await.unwrap(), ["2001:db8::1"]);
    let policy = record(SHOP, RData::CAA(CAA::new_issue(true, Some(name("letsencrypt.org")), Vec::new())));
    assert_eq!(values(vec![policy], RecordType::Caa).await.unwrap(), ["128 issue \"letsencrypt.org\""]);
}

#[tokio::test]
async fn a_text_in_pieces_is_one_and_cannot_steer_a_terminal() {
    let records = vec![text(SHOP, &["ca3-", "0123"]), text(SHOP, &["\u{1b}[2J"])];
    assert_eq!(values(records, RecordType::Txt).await.unwrap(), ["\\u{1b}[2J", "ca3-0123"]);
}

#[tokio::test]
async fn records_of_other_names_are_not_an_answer() {
    let records = vec![text("other.example.", &["planted"]), text(SHOP, &["ours"])];
    assert_eq!(values(records, RecordType::Txt).await.unwrap(), ["ours"]);
}

#[tokio::test]
async fn a_loop_of_aliases_ends() {
    let looped = vec![alias(SHOP, "b.example."), alias("b.example.", SHOP)];
    assert_eq!(values(looped.clone(), RecordType::Cname).await.unwrap(), ["b.example"]);
    let server = NameServer::answering(looped).await;
    assert_eq!(ask(&[&server], RecordType::A).await.values.unwrap_or_default(), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_server_says_is_not_there_is_empty() {
    for code in [ResponseCode::NXDomain, ResponseCode::NoError] {
        let server = NameServer::saying(move |_| Says::Code(code)).await;
        let answer = ask(&[&server], RecordType::Txt).await;
        assert_eq!(answer.values, Some(Vec::new()), "{code}");
        assert_eq!(answer.server, server.address.to_string());
    }
}

#[tokio::test]
async fn what_nobody_answers_is_unknown_and_not_missing() {
    let broken = NameServer::saying(|_| Says::Code(ResponseCode::ServFail)).await;
    let closed = NameServer::saying(|_| Says::Code(ResponseCode::Refused)).await;
    let silent = NameServer::saying(|_| Says::Nothing).await;
    let elsewhere = NameServer::saying(|_| Says::Referral).await;
    for server in [&broken, &closed, &silent, &elsewhere] {
        assert_eq!(ask(&[server], RecordType::A).await.values, None);
    }
    let answer = ask(&[&broken, &silent], RecordType::A).await;
    assert_eq!(answer.server, format!("{}, {}", broken.address, silent.address));
}

#[tokio::test]
async fn the_next_server_is_asked_when_the_first_fails_or_is_slow() {
    for broken in [true, false] {
        let first =
            NameServer::saying(move |_| if broken { Says::Code(ResponseCode::ServFail) } else { Says::Nothing }).await;
        let second = NameServer::answering(vec![address(SHOP, 7)]).await;
        let answer = ask(&[&first, &second], RecordType::A).await;
        assert_eq!(answer.values.unwrap(), ["192.0.2.7"]);
        assert_eq!(answer.server, second.address.to_string());
        assert!(first.asked() > 0);
    }
}

#[tokio::test]
async fn the_second_server_is_left_alone_while_the_first_answers() {
    let first = NameServer::saying(|_| Says::Code(ResponseCode::NXDomain)).await;
    let second = NameServer::answering(vec![address(SHOP, 7)]).await;
    assert_eq!(ask(&[&first, &second], RecordType::A).await.values, Some(Vec::new()));
    assert_eq!(second.asked(), 0);
}

#[tokio::test]
async fn an_answer_that_is_cut_short_is_asked_for_again_over_tcp() {
    let long: Vec<Record> = (0..8).map(|n| text(SHOP, &[&n.to_string().repeat(200)])).collect();
    let server = NameServer::saying(move |_| Says::Whole(long.clone())).await;
    assert_eq!(ask(&[&server], RecordType::Txt).await.values.unwrap().len(), 8);
}

#[tokio::test]
async fn an_answer_beyond_the_caps_is_unknown() {
    let many: Vec<Record> = (0..33).map(|n| address(SHOP, n)).collect();
    assert_eq!(values(many, RecordType::A).await, None);
    let long: Vec<Record> = (0..20).map(|n| text(SHOP, &[&char::from(b'a' + n).to_string().repeat(250)])).collect();
    let server = NameServer::saying(move |_| Says::Whole(long.clone())).await;
    assert_eq!(ask(&[&server], RecordType::Txt).await.values, None);
}

#[tokio::test]
async fn nothing_is_remembered() {
    let turns = AtomicUsize::new(0);
    let server = NameServer::saying(move |_| match turns.fetch_add(1, Ordering::SeqCst) {
        0 => Says::Code(ResponseCode::NXDomain),
        n => Says::Records(vec![address(SHOP, n as u8)]),
    })
    .await;
    let resolver = Resolver::patient(vec![server.address], IMPATIENT).unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(resolver.ask(&[question(RecordType::A)]).await.unwrap().remove(0).values.unwrap());
    }
    assert_eq!(seen, [vec![], vec!["192.0.2.1".to_owned()], vec!["192.0.2.2".to_owned()]]);
}

#[tokio::test]
async fn many_questions_are_answered_in_their_order() {
    let server = NameServer::saying(|query| {
        let owner = query.name().to_ascii();
        Says::Records(vec![text(&owner, &[&owner])])
    })
    .await;
    let resolver = Resolver::patient(vec![server.address], IMPATIENT).unwrap();
    let questions: Vec<DnsQuestion> = (0..60)
        .map(|n| DnsQuestion { name: format!("_acme-challenge.shop{n}.example"), r#type: RecordType::Txt })
        .collect();
    let answers = resolver.ask(&questions).await.unwrap();
    for (question, answer) in questions.iter().zip(&answers) {
        assert_eq!(&answer.question, question);
        assert_eq!(answer.values.as_deref(), Some(&[format!("{}.", question.name)][..]));
    }
    assert_eq!(answers.len(), 60);
}

#[tokio::test]
async fn a_name_that_is_none_is_asked_of_nobody() {
    let server = NameServer::answering(Vec::new()).await;
    let resolver = Resolver::patient(vec![server.address], IMPATIENT).unwrap();
    let question = DnsQuestion { name: format!("{}.example", "x".repeat(64)), r#type: RecordType::A };
    assert_eq!(resolver.ask(&[question]).await.unwrap()[0].values, None);
    assert_eq!(server.asked(), 0);
}
