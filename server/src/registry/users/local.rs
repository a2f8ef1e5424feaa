//! The secret of this machine's own tools: a fresh one for each start, in a file that only its owner may read.
//!
//! Whoever can read the data directory owns the data anyway, so `limn user` and `limn sql --data-dir` need no password.
//! It knows nothing of connections.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use super::secret;
use crate::{Error, Result};

/// The file, below the data directory's `registry`.
const FILE: &str = "local-token";
/// What it begins with.
const PREFIX: &str = "limn_local_";

/// The secret of one start.
pub struct LocalSecret(String);

impl fmt::Debug for LocalSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalSecret(***)")
    }
}

impl LocalSecret {
    /// Makes a secret and leaves it in the data directory, which this process holds.
    pub fn create(data_dir: &Path) -> Result<Self> {
        let secret = format!("{PREFIX}{}", secret::sha256(&secret::token()?));
        let path = data_dir.join("registry").join(FILE);
        write(&path, &secret)
            .map_err(|error| Error::from(error).context(format!("cannot write `{}`", path.display())))?;
        Ok(LocalSecret(secret))
    }

    /// The secret that servers which share the data directory have in common, made by the first of them.
    pub fn shared(data_dir: &Path) -> Result<Self> {
        match read(data_dir).filter(|secret| secret.starts_with(PREFIX)) {
            Some(secret) => Ok(LocalSecret(secret)),
            None => LocalSecret::create(data_dir),
        }
    }

    /// Whether somebody has it.
    pub fn is(&self, presented: &str) -> bool {
        secret::same(self.0.as_bytes(), presented.as_bytes())
    }
}

/// The secret of the server that holds the data directory, where this process may read it.
pub fn read(data_dir: &Path) -> Option<String> {
    let text = std::fs::read_to_string(data_dir.join("registry").join(FILE)).ok()?;
    Some(text.trim().to_string())
}

/// Not through the disk that survives power cuts: the secret ends with the process.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.write(true).create_new(true).open(&beside)?.write_all(text.as_bytes())?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_has_a_secret_of_its_own_that_only_the_owner_reads() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("registry")).unwrap();
        assert_eq!(read(dir.path()), None);
        let first = LocalSecret::create(dir.path()).unwrap();
        let presented = read(dir.path()).unwrap();
        assert!(first.is(&presented) && !first.is("") && !format!("{first:?}").contains(&presented));
        let second = LocalSecret::create(dir.path()).unwrap();
        assert!(!second.is(&presented) && second.is(&read(dir.path()).unwrap()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(dir.path().join("registry").join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
