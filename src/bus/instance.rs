//! The name under which a process is a static member of its consumer groups.

use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// More processes than this on one data folder go without a name.
const SLOTS: usize = 64;
/// Kafka's limit for the whole name is 249.
const LONGEST_HOST: usize = 180;

/// A name that no other running process has, and that this one finds again after a restart.
///
/// It belongs to one of a few files in the data folder, which the process keeps locked for as long as it lives: the
/// system unlocks it even after a crash. Processes that share a folder have a file each; which of them is which does
/// not matter, since all of them do the same.
#[derive(Debug)]
pub struct Instance {
    name: String,
    /// Locked.
    _file: File,
}

impl Instance {
    /// Takes the first free name of `folder`. None when all are taken.
    pub fn claim(folder: &Path) -> io::Result<Option<Self>> {
        fs::create_dir_all(folder)?;
        for slot in 0..SLOTS {
            let path = folder.join(format!("instance-{slot}"));
            let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let id = identity(&file)?;
            // Folders that were copied, as images of machines are, differ in their host.
            return Ok(Some(Self { name: format!("{}-{id}", host()), _file: file }));
        }
        Ok(None)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// What the file says, or from now on will say.
fn identity(mut file: &File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(100).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let known = text.trim();
    if known.len() == 16 && known.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(known.to_owned());
    }
    let fresh = format!("{:016x}", RandomState::new().hash_one(file.metadata()?.len()));
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(fresh.as_bytes())?;
    Ok(fresh)
}

fn host() -> String {
    let host = hostname::get().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let legal = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    host.chars().take(LONGEST_HOST).map(legal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(folder: &Path) -> Instance {
        Instance::claim(folder).unwrap().unwrap()
    }

    #[test]
    fn a_process_finds_its_name_again_and_shares_it_with_no_other_that_runs() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        let first = claim(&folder);
        let second = claim(&folder);
        assert_ne!(first.name(), second.name());
        let before = first.name().to_owned();
        drop(first);
        assert_eq!(claim(&folder).name(), before);
    }

    #[test]
    fn two_folders_have_two_names() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_ne!(claim(one.path()).name(), claim(other.path()).name());
    }

    #[test]
    fn a_file_that_was_cut_short_gets_a_new_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("instance-0"), "abc\n\n").unwrap();
        let name = claim(folder.path()).name().to_owned();
        assert_eq!(claim(folder.path()).name(), name);
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{name}");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Instance::claim(file.path()).is_err());
    }
}
