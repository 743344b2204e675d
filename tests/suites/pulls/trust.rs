//! Who is believed, and what: lengths, digests, redirects, certificates, and whom a token is for.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use meetcap_supervisor::models::pull::{Network, PullError};
use meetcap_tests::deadline::within;
use meetcap_tests::demo::demo_models;
use meetcap_tests::hub::{Act, Authority, Hub, digest};
use meetcap_tests::room::Room;

use crate::stage::*;

#[test]
fn another_length_or_another_content_never_gets_the_name() {
    within(LIMIT, || {
        let stage = Stage::new();
        stage.hub.put(PATH, model()[..model().len() - 1].to_vec());
        let _ = stage.assert_fails("were expected; another file has its place there");

        let stage = Stage::new();
        stage.hub.put(PATH, other_model());
        let error = stage.assert_fails("it was thrown away");
        assert!(matches!(error, PullError::Hash { .. }), "{error:?}");
        assert_eq!(stage.names(), [] as [&str; 0], "what is wrong is not gone on with");

        // A byte that went wrong on the way, once.
        let stage = Stage::new();
        stage.hub.next([Act::Serve, Act::Flipped(1000)]);
        let _ = stage.assert_fails("it was thrown away");
        stage.pull().expect("the second time it is right");
        stage.assert_came(model());
    });
}

#[test]
fn what_the_hub_says_of_a_file_is_held_to_and_pinned() {
    within(LIMIT, || {
        let linked = |stage: &Stage, cdn: &Hub| {
            stage.hub.always(Act::Linked { to: format!("{}/blob?sig=secret", cdn.address()), file: PATH.to_owned() });
        };
        let cdn = |bytes: Vec<u8>| Hub::new([("/blob?sig=secret".to_owned(), bytes)], Duration::ZERO);
        let stage = Stage::new().unknown();
        let there = cdn(model().to_vec());
        linked(&stage, &there);
        stage.pull().expect("a model");
        stage.assert_came(model());
        let pin = stage.store().find(FILE).and_then(|found| found.pin).expect("a pin");
        assert_eq!((pin.vouched, pin.revision.as_deref()), (true, Some("0123456789abcdef")));

        // What is behind the link is not what the hub says.
        let stage = Stage::new().unknown();
        linked(&stage, &cdn(other_model()));
        let _ = stage.assert_fails("SHA-256");
        // The hub has another file than the catalogue knows: nothing is fetched.
        let stage = Stage::new();
        stage.hub.put(PATH, other_model());
        let there = cdn(other_model());
        linked(&stage, &there);
        let error = stage.assert_fails("nothing was fetched");
        assert!(matches!(error, PullError::OtherHash { .. }) && there.served() <= 1, "{error:?}");
        // Whoever the hub leads to cannot say otherwise.
        let stage = Stage::new().unknown();
        let there = cdn(other_model());
        there.always(Act::Claimed(digest(&other_model())));
        linked(&stage, &there);
        let error = stage.assert_fails("SHA-256");
        assert!(matches!(error, PullError::Hash { .. }), "{error:?}");
        // Nobody says anything: what came is pinned, and not vouched for.
        let stage = Stage::new().unknown();
        stage.pull().expect("a model");
        assert_eq!(stage.store().find(FILE).and_then(|found| found.pin).map(|pin| pin.vouched), Some(false));
    });
}

#[test]
fn the_token_goes_to_the_hub_and_no_further() {
    within(LIMIT, || {
        let mut stage = Stage::new();
        let secret = "hf_a_token_that_nobody_should_see";
        let variables = |name: &str| match name {
            "HF_TOKEN" => Some(secret.into()),
            "HF_ENDPOINT" => Some(stage.hub.address().into()),
            _ => None,
        };
        let network = Network::from_environment(variables, |_| None);
        stage.network = impatient(network, stage.hub.address());
        let cdn = Hub::new([("/blob".to_owned(), model().to_vec())], Duration::ZERO);
        stage.hub.always(Act::Redirect(format!("{}/blob", cdn.address())));
        stage.pull().expect("a model");
        stage.assert_came(model());
        let knows =
            |hub: &Hub| hub.requests().iter().filter(|request| request.headers.contains_key("authorization")).count();
        assert_eq!(knows(&stage.hub), stage.hub.requests().len());
        assert_eq!((knows(&cdn), cdn.requests().is_empty()), (0, false));
        let pin = fs::read_to_string(stage.room.path("models").join(format!(".{FILE}.meetcap.json"))).expect("a pin");
        assert!(!pin.contains(secret) && !format!("{:?}", stage.network).contains(secret));

        for (status, words) in [(401, "HF_TOKEN (HTTP 401)"), (403, "were the model's terms accepted")] {
            let mut refused = Stage::new();
            refused.network = impatient(stage.network.clone(), refused.hub.address());
            refused.hub.always(Act::Status(status, None));
            let error = refused.assert_fails(words);
            assert!(!error.to_string().contains(secret) && !format!("{error:?}").contains(secret));
        }
    });
}

#[test]
fn refusals_are_told_at_once_with_what_to_do() {
    within(LIMIT, || {
        for (status, words) in [
            (401, "asks for a token (HTTP 401)"),
            (403, "accept the model's terms"),
            (404, "does not have `ears` (HTTP 404)"),
            (410, "it may have been moved or removed"),
            (418, "HTTP 418"),
        ] {
            let stage = Stage::new();
            stage.hub.always(Act::Status(status, None));
            let _ = stage.assert_fails(words);
            assert_eq!(stage.hub.asked().len(), 1, "{status} is not asked again");
        }
    });
}

#[test]
fn redirects_are_followed_within_reason() {
    within(LIMIT, || {
        let other = Hub::new([("/elsewhere/x".to_owned(), model().to_vec())], Duration::ZERO);
        for to in [format!("{}/elsewhere/x", other.address()), "../../../../elsewhere".to_owned()] {
            let stage = Stage::new();
            stage.hub.put("/o/n/resolve/main/../../../../elsewhere", model().to_vec());
            stage.hub.next([Act::Redirect(to.clone()), Act::Serve, Act::Redirect(to)]);
            stage.pull().expect("a model");
            stage.assert_came(model());
        }
        let stage = Stage::new();
        stage.hub.always(Act::Redirect(PATH.to_owned()));
        let _ = stage.assert_fails("redirects in a circle");
        // To where anybody could read along, or change what comes.
        for to in ["http://example.invalid/ears.bin", "ftp://127.0.0.1/ears.bin", "file:///etc/passwd"] {
            let stage = Stage::new();
            stage.hub.always(Act::Redirect(to.to_owned()));
            let _ = stage.assert_fails("no address that can be fetched from");
        }
    });
}

#[test]
fn a_file_that_changes_while_it_is_fetched_is_fetched_anew() {
    within(LIMIT, || {
        let stage = Stage::new().unknown();
        stage.hub.next([Act::Serve, Act::Cut(1_000_000), Act::Replaced(other_model())]);
        stage.pull().expect("a model");
        stage.assert_came(&other_model());
        // Where it is known what it has to be, the new one is not taken, and what came of the old one is kept.
        let stage = Stage::new();
        stage.hub.next([Act::Serve, Act::Cut(1_000_000), Act::Replaced(other_model())]);
        let _ = stage.assert_fails("the same command goes on from there");
        stage.hub.put(PATH, model().to_vec());
        let before = stage.hub.served();
        stage.pull().expect("a model");
        stage.assert_came(model());
        assert!(stage.hub.served() - before <= model().len() as u64 - 1_000_000 + BUFFER);
    });
}

#[test]
fn a_page_in_place_of_a_part_costs_nothing_that_has_come() {
    on_stage(|stage| {
        stage.hub.next([Act::Serve, Act::Cut(1_000_000), Act::Page("<html>log in</html>"), Act::Page("again")]);
        stage.pull().expect("a model");
        stage.assert_came(model());
        assert!(stage.hub.served() <= model().len() as u64 + BUFFER, "{}", stage.hub.served());
    });
}

#[test]
fn what_is_no_model_does_not_stay() {
    within(LIMIT, || {
        let page = "<html><body>You have to log in first, whoever you are.</body></html>";
        let stage = Stage::new().unknown();
        stage.hub.always(Act::Page(page));
        let _ = stage.assert_fails("no model that can be used here");
        assert_eq!(stage.names(), [] as [&str; 0]);
        // A model, but not of the kind that was asked for.
        let (_, summary) = demo_models();
        let stage = Stage::new().unknown();
        stage.hub.put(PATH, fs::read(summary).expect("a model"));
        let _ = stage.assert_fails("is a summary model, and a speech model was asked for");
        assert_eq!(stage.names(), [] as [&str; 0]);
    });
}

#[test]
fn a_server_is_believed_that_somebody_known_vouches_for_and_no_other() {
    within(LIMIT, || {
        let authority = Authority::new();
        let hub = Hub::encrypted([(PATH.to_owned(), model().to_vec())], &authority);
        let room = Room::new();
        let settings =
            format!("[supervisor]\nmodels_dir = \"models\"\n[supervisor.models]\nears = \"{}{PATH}\"\n", hub.address());
        room.file("meetcap.toml", settings);
        let known = room.file("known.pem", &authority.pem);
        let stranger = room.file("stranger.pem", Authority::new().pem);
        let pull = |vouching: &PathBuf| {
            let command = room.supervisor().args(["models", "pull", "ears", "--config", "meetcap.toml"]);
            command.env("SSL_CERT_FILE", vouching).env("SSL_CERT_DIR", "/nonexistent").run()
        };
        let refused = pull(&stranger).expect_code(4).says("is not believed to be itself");
        assert!(refused.stderr.contains("ertificate"), "{}", refused.stderr);
        assert!(hub.connections() <= 2, "{} connections to one that is not believed", hub.connections());
        // And where there is nobody at all to vouch for anybody.
        let nobody = room.file("nobody.pem", "");
        let _ = pull(&nobody).expect_code(4).says("No CA certificates").says("ca-certificates");
        let _ = pull(&known).expect_code(0).says("fetched ears");
        assert!(fs::read(room.path("models").join(FILE)).expect("the model") == model());
    });
}
