//! Users and tokens over a restart, and what ends a proof.
//!
//! On the machine's own disk, in a directory that goes away; it knows nothing of statements.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Users;
use crate::Class;
use crate::lake::disk::LocalDisk;
use crate::limits::{TOKEN_TTL_MAX, TOKENS_PER_USER_MAX};

fn open(dir: &Path) -> Users {
    std::fs::create_dir_all(dir.join("registry")).unwrap();
    Users::open(dir, dir.join("tmp"), Arc::new(LocalDisk)).unwrap()
}

#[tokio::test]
async fn users_and_tokens_survive_a_restart_and_their_secrets_are_not_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let users = open(dir.path());
    assert!(users.is_empty());
    assert!(users.create("ada", Some("correct horse"), false).await.unwrap());
    assert!(!users.create("ada", None, true).await.unwrap());
    let token = users.create_token("ada", Some("laptop"), None).await.unwrap();
    let (rows, tokens) = (users.users(), users.tokens());

    let text = std::fs::read_to_string(dir.path().join("registry/users.json")).unwrap();
    assert!(!text.contains("correct horse") && !text.contains(&token.secret));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(dir.path().join("registry/users.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    let users = open(dir.path());
    assert_eq!((users.users(), users.tokens()), (rows, tokens));
    assert_eq!(users.check_password("ada", "correct horse").await.unwrap().unwrap().user, "ada");
    assert_eq!(users.check_token(&token.secret).unwrap().user, "ada");
    assert_eq!(users.check_password("ada", "correct hors").await.unwrap(), None);
    assert_eq!(users.check_password("bob", "correct horse").await.unwrap(), None);
    assert_eq!(users.check_token(&token.id), None);
}

#[tokio::test]
async fn a_new_password_ends_what_the_old_one_proved_and_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let users = open(dir.path());
    users.create("ada", Some("correct horse"), false).await.unwrap();
    let token = users.create_token("ada", None, None).await.unwrap();
    let proof = users.check_password("ada", "correct horse").await.unwrap().unwrap();
    assert!(users.still_holds(&proof) && users.recall_password("ada", "correct horse").is_some());

    users.set_password("ada", "battery staple").await.unwrap();
    assert!(!users.still_holds(&proof) && users.recall_password("ada", "correct horse").is_none());
    assert!(users.check_token(&token.secret).is_some());
}

#[tokio::test]
async fn revoked_expired_and_dropped_tokens_prove_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let users = open(dir.path());
    users.create("ada", None, false).await.unwrap();
    let revoked = users.create_token("ada", None, None).await.unwrap();
    let proof = users.check_token(&revoked.secret).unwrap();
    users.revoke_token(&revoked.id).await.unwrap();
    assert!(!users.still_holds(&proof) && users.check_token(&revoked.secret).is_none());
    assert!(users.tokens()[0].revoked_at.is_some());

    // As short as no clock is exact.
    let expired = users.create_token("ada", None, Some(Duration::from_nanos(1))).await.unwrap();
    assert!(users.check_token(&expired.secret).is_none());

    let dropped = users.create_token("ada", None, None).await.unwrap();
    let vouched = users.vouched("ada").unwrap();
    users.remove("ada", false).await.unwrap();
    users.create("ada", None, false).await.unwrap();
    assert!(users.check_token(&dropped.secret).is_none() && !users.still_holds(&vouched));
    assert!(users.tokens().is_empty());
}

#[tokio::test]
async fn what_is_not_there_is_named_with_the_nearest() {
    let dir = tempfile::tempdir().unwrap();
    let users = open(dir.path());
    users.create("ada", None, false).await.unwrap();
    for error in [
        users.set_password("adb", "correct horse").await.unwrap_err(),
        users.remove("adb", false).await.unwrap_err(),
        users.create_token("adb", None, None).await.map(drop).unwrap_err(),
    ] {
        assert_eq!(error.message(), "unknown user `adb`, the nearest is `ada`");
    }
    assert!(!users.remove("adb", true).await.unwrap());
    assert_eq!(users.revoke_token("tk0").await.unwrap_err().class(), Class::NotFound);
    assert_eq!(users.create("ada", None, false).await.unwrap_err().class(), Class::AlreadyExists);
    for name in ["", "a:b", "a\nb", " a", "local", "anonymous", &"x".repeat(200)] {
        assert_eq!(users.create(name, None, false).await.unwrap_err().class(), Class::Input, "{name}");
    }
    for ttl in [Duration::ZERO, TOKEN_TTL_MAX + Duration::from_secs(1)] {
        assert_eq!(users.create_token("ada", None, Some(ttl)).await.map(drop).unwrap_err().class(), Class::Input);
    }
}

#[tokio::test]
async fn a_user_has_so_many_tokens_and_dead_ones_make_room() {
    let dir = tempfile::tempdir().unwrap();
    let users = open(dir.path());
    users.create("ada", None, false).await.unwrap();
    let first = users.create_token("ada", None, None).await.unwrap();
    for _ in 1..TOKENS_PER_USER_MAX {
        users.create_token("ada", None, None).await.unwrap();
    }
    assert_eq!(users.create_token("ada", None, None).await.map(drop).unwrap_err().class(), Class::Exhausted);
    users.revoke_token(&first.id).await.unwrap();
    users.create_token("ada", None, None).await.unwrap();
    assert_eq!(users.tokens().len(), TOKENS_PER_USER_MAX);
    assert!(users.tokens().iter().all(|token| token.id != first.id));
}
