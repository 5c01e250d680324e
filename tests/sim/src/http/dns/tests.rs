use std::time::Duration;

use hickory_proto::op::{MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::time::timeout;

use super::*;
use crate::Running;
use crate::fault::Rule;
use crate::http::trial::{START, world};
use crate::model::dns::{Kind, Trouble};

fn question(name: &str, kind: RecordType) -> Message {
    let mut question = Message::new(7, MessageType::Query, OpCode::Query);
    question.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    question
}

/// Asks over UDP.
async fn ask(world: &Running, name: &str, kind: RecordType) -> Option<Message> {
    ask_for(Duration::from_secs(10), world, name, kind).await
}

/// Asks and hears nothing for a while.
async fn silent(world: &Running, name: &str) -> bool {
    ask_for(Duration::from_millis(200), world, name, RecordType::A).await.is_none()
}

async fn ask_for(patience: Duration, world: &Running, name: &str, kind: RecordType) -> Option<Message> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&question(name, kind).to_vec().unwrap(), world.addresses().dns).await.unwrap();
    let mut buffer = vec![0; 4096];
    let length = timeout(patience, socket.recv(&mut buffer)).await.ok()?.unwrap();
    Some(Message::from_vec(&buffer[..length]).unwrap())
}

#[tokio::test]
async fn a_chain_and_its_end_come_in_one_answer() {
    let (world, ..) = world().await;
    world.dns().add(START, "shop.customer.example", Kind::Cname, "saas.example.com");
    world.dns().add(START, "saas.example.com", Kind::A, "192.0.2.1");
    let answer = ask(&world, "shop.customer.example.", RecordType::A).await.unwrap();
    assert!(matches!(&answer.answers[0].data, RData::CNAME(target) if target.0.to_ascii() == "saas.example.com."));
    assert!(matches!(&answer.answers[1].data, RData::A(address) if address.0.to_string() == "192.0.2.1"));
    assert_eq!(world.calls().of(Service::Dns, "A"), 1);
}

#[tokio::test]
async fn no_name_and_no_data_differ_and_both_name_the_zone() {
    let (world, ..) = world().await;
    world.dns().add(START, "www.example.com", Kind::A, "192.0.2.1");
    for (name, code) in [("www.example.com.", ResponseCode::NoError), ("x.example.com.", ResponseCode::NXDomain)] {
        let answer = ask(&world, name, RecordType::TXT).await.unwrap();
        assert_eq!((answer.metadata.response_code, answer.answers.len()), (code, 0));
        assert_eq!(answer.authorities[0].name.to_ascii(), "example.com.");
    }
}

#[tokio::test]
async fn caa_and_long_texts_arrive_whole() {
    let (world, ..) = world().await;
    let long = "x".repeat(300);
    world.dns().add(START, "example.com", Kind::Caa, "128 issue \"letsencrypt.org; accounturi=https://ca/1\"");
    world.dns().add(START, "example.com", Kind::Txt, &long);
    let answer = ask(&world, "example.com.", RecordType::CAA).await.unwrap();
    let RData::CAA(caa) = &answer.answers[0].data else { panic!("{answer:?}") };
    assert_eq!((caa.flags(), caa.value_as_issue().unwrap().1.len()), (128, 1));
    let answer = ask(&world, "example.com.", RecordType::TXT).await.unwrap();
    assert!(matches!(&answer.answers[0].data, RData::TXT(text) if text.to_string() == long));
}

#[tokio::test]
async fn what_does_not_fit_into_a_datagram_comes_over_tcp() {
    let (world, ..) = world().await;
    for at in 0..20 {
        world.dns().add(START, "example.com", Kind::Txt, &format!("{at:060}"));
    }
    let answer = ask(&world, "example.com.", RecordType::TXT).await.unwrap();
    assert!(answer.metadata.truncation);
    let mut stream = TcpStream::connect(world.addresses().dns).await.unwrap();
    let bytes = question("example.com.", RecordType::TXT).to_vec().unwrap();
    stream.write_u16(bytes.len() as u16).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut whole = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut whole).await.unwrap();
    assert_eq!(Message::from_vec(&whole).unwrap().answers.len(), 20);
}

#[tokio::test]
async fn trouble_is_a_code_or_silence() {
    let (world, ..) = world().await;
    world.dns().trouble("a.example.com", Some(Trouble::ServFail));
    world.dns().trouble("b.example.com", Some(Trouble::Silent));
    let answer = ask(&world, "a.example.com.", RecordType::A).await.unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    assert!(silent(&world, "b.example.com.").await);
    world.faults().add(Rule::once(Service::Dns, "A", Fault::AnswerLost));
    assert!(silent(&world, "c.example.com.").await);
    assert!(ask(&world, "c.example.com.", RecordType::A).await.is_some());
}

/// Signs and sends an update; the answer's code, once hickory has verified its signature.
async fn update(world: &Running, change: Message, secret: &[u8], seconds: u64) -> (ResponseCode, bool) {
    use hickory_proto::rr::TSigner;
    use hickory_proto::rr::rdata::tsig::TsigAlgorithm;

    let name = Name::from_ascii("claviger.").unwrap();
    let signer = TSigner::new(secret.to_vec(), TsigAlgorithm::HmacSha256, name, 300).unwrap();
    let mut change = change;
    let mut verifier = change.finalize(&signer, seconds).unwrap().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&change.to_vec().unwrap(), world.addresses().dns).await.unwrap();
    let mut buffer = vec![0; 4096];
    let length = timeout(Duration::from_secs(5), socket.recv(&mut buffer)).await.unwrap().unwrap();
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    (answer.metadata.response_code, verifier.verify(&buffer[..length]).is_ok())
}

fn change(zone: &str, name: &str, value: &str, class: hickory_proto::rr::DNSClass) -> Message {
    let mut message = Message::new(9, MessageType::Query, OpCode::Update);
    message.add_query(Query::query(Name::from_ascii(zone).unwrap(), RecordType::SOA));
    let text = RData::TXT(hickory_proto::rr::rdata::TXT::new(vec![value.into()]));
    let mut record = hickory_proto::rr::Record::from_rdata(Name::from_ascii(name).unwrap(), 1, text);
    record.dns_class = class;
    message.add_authority(record);
    message
}

#[tokio::test]
async fn a_signed_update_adds_and_removes_one_value() {
    use hickory_proto::rr::DNSClass;

    let (world, ..) = world().await;
    world.dns().add_zone(START, "staging.example.com");
    world.dns().add_update_key("claviger", b"a shared secret of some length", &["staging.example.com"]);
    let seconds = START as u64 / 1000;
    let name = "_acme-challenge.staging.example.com.";
    let put = |value: &str, class| change("staging.example.com.", name, value, class);
    let secret = b"a shared secret of some length";
    assert_eq!(update(&world, put("one", DNSClass::IN), secret, seconds).await, (ResponseCode::NoError, true));
    assert_eq!(update(&world, put("two", DNSClass::IN), secret, seconds).await, (ResponseCode::NoError, true));
    assert_eq!(world.dns().values(name, Kind::Txt), ["one", "two"]);
    assert_eq!(update(&world, put("one", DNSClass::NONE), secret, seconds).await, (ResponseCode::NoError, true));
    assert_eq!(world.dns().values(name, Kind::Txt), ["two"]);
    assert_eq!(world.calls().of(Service::Dns, "UPDATE"), 3);
}

#[tokio::test]
async fn an_update_that_is_not_right_changes_nothing() {
    use hickory_proto::rr::DNSClass;

    let (world, ..) = world().await;
    world.dns().add_update_key("claviger", b"a shared secret of some length", &["example.com"]);
    let seconds = START as u64 / 1000;
    let put = |zone: &str, name: &str| change(zone, name, "x", DNSClass::IN);
    let good = put("example.com.", "a.example.com.");
    let secret: &[u8] = b"a shared secret of some length";
    for (what, message, secret, seconds, code) in [
        ("secret", good.clone(), b"another secret".as_slice(), seconds, ResponseCode::NotAuth),
        ("time", good.clone(), secret, seconds - 900, ResponseCode::NotAuth),
        ("zone", put("example.net.", "a.example.net."), secret, seconds, ResponseCode::Refused),
        ("name", put("example.com.", "a.example.net."), secret, seconds, ResponseCode::NotZone),
    ] {
        assert_eq!(update(&world, message, secret, seconds).await.0, code, "{what}");
    }
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&good.to_vec().unwrap(), world.addresses().dns).await.unwrap();
    let mut buffer = vec![0; 512];
    let length = timeout(Duration::from_secs(5), socket.recv(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(Message::from_vec(&buffer[..length]).unwrap().metadata.response_code, ResponseCode::Refused, "unsigned");
    assert_eq!(world.dns().records().count(), 0);
}
