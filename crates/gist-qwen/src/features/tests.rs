use std::collections::BTreeSet;

use super::*;

const GRID: (usize, usize) = (2, 3);

fn tower() -> VisionConfig {
    VisionConfig {
        hidden: 8,
        depth: 2,
        heads: 1,
        intermediate: 8,
        out_hidden: 5,
        side: 2,
        deepstack: vec![0],
        norm_eps: 1e-6,
    }
}

fn encoded(seed: f32) -> Encoded {
    let rows = |from: f32| (0..GRID.0 * GRID.1 * 5).map(|i| from + i as f32 * 0.1).collect();
    Encoded { grid: GRID, rows: rows(seed), deepstack: vec![rows(-seed)] }
}

fn picture(level: u8) -> Frame<'static> {
    let (width, height) = (GRID.1 * BLOCK, GRID.0 * BLOCK);
    Frame::new(width, height, vec![level; width * height * 3]).unwrap()
}

fn open(path: &Path, max_bytes: u64, of: f32) -> FeatureCache {
    FeatureCache::open(FeatureFolder { path: path.into(), max_bytes }, |_, _| encoded(of)).unwrap()
}

fn files(path: &Path) -> BTreeSet<PathBuf> {
    fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_pair_is_known_again_by_both_its_pictures_and_the_tower() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 1 << 20, 1.0);
    let (a, b) = (picture(10), picture(20));
    assert_eq!(cache.get(&a, &b, &tower()), None);
    cache.put(&a, &b, &encoded(7.0));
    // Another process, later.
    assert_eq!(open(dir.path(), 1 << 20, 1.0).get(&a, &b, &tower()), Some(encoded(7.0)));
    assert_eq!(cache.get(&b, &a, &tower()), None);
    assert_eq!(cache.get(&a, &picture(21), &tower()), None);
    assert_eq!(open(dir.path(), 1 << 20, 1.1).get(&a, &b, &tower()), None, "a tower with other weights");
}

#[test]
fn a_file_that_is_not_what_was_written_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let cache = open(dir.path(), 1 << 20, 1.0);
    let (a, b) = (picture(1), picture(2));
    let damages: [fn(&mut Vec<u8>); 5] = [
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes[17] ^= 1,
        |bytes| bytes.clear(),
        |bytes| bytes.extend([0; 100]),
        |bytes| {
            // Honestly signed, but not a number.
            bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
            let end = bytes.len() - CHECKSUM as usize;
            let sum = Sha256::digest(&bytes[..end]);
            bytes[end..].copy_from_slice(&sum);
        },
    ];
    for damage in damages {
        cache.put(&a, &b, &encoded(7.0));
        let place = cache.place(&a, &b);
        let mut bytes = fs::read(&place).unwrap();
        damage(&mut bytes);
        fs::write(&place, bytes).unwrap();
        assert_eq!(cache.get(&a, &b, &tower()), None);
        assert!(!place.exists(), "it would never become right");
    }
}

#[test]
fn the_folder_never_holds_more_than_it_may_and_what_was_used_stays() {
    let dir = tempfile::tempdir().unwrap();
    let one = {
        let probe = tempfile::tempdir().unwrap();
        let cache = open(probe.path(), 1 << 20, 1.0);
        cache.put(&picture(1), &picture(1), &encoded(1.0));
        files(probe.path()).first().unwrap().metadata().unwrap().len()
    };
    let foreign = dir.path().join("holiday.jpg");
    fs::write(&foreign, vec![0; 4 * one as usize]).unwrap();
    let (cache, day) = (open(dir.path(), 5 * one, 1.0), Duration::from_secs(86_400));
    let put = |i: u8| {
        let frame = picture(i);
        cache.put(&frame, &frame, &encoded(f32::from(i)));
        let place = cache.place(&frame, &frame);
        if let Ok(file) = File::options().write(true).open(&place) {
            file.set_modified(SystemTime::now() - day * (100 - u32::from(i))).unwrap();
        }
    };
    (0..5).for_each(put);
    // The oldest is asked for: the next oldest goes in its place.
    assert!(cache.get(&picture(0), &picture(0), &tower()).is_some());
    (5..20).for_each(|i| {
        put(i);
        let held: u64 =
            files(dir.path()).iter().filter(|f| is_pair(f)).map(|f| f.metadata().unwrap().len()).sum();
        assert!(held <= 5 * one, "{held}");
    });
    let known = |i: u8| cache.get(&picture(i), &picture(i), &tower()).is_some();
    assert!(known(0) && known(19) && !known(1) && !known(10));
    assert!(foreign.exists(), "what is not ours stays");

    let tiny = open(dir.path(), one / 2, 1.0);
    tiny.put(&picture(50), &picture(50), &encoded(5.0));
    assert!(tiny.get(&picture(50), &picture(50), &tower()).is_none(), "it does not fit at all");
}

#[test]
fn what_a_crash_left_is_removed_once_nobody_can_be_writing_it() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join(".1-aa.pair"), dir.path().join(".2-bb.pair"));
    fs::write(&old, "x").unwrap();
    fs::write(&new, "x").unwrap();
    File::options().write(true).open(&old).unwrap().set_modified(SystemTime::now() - 2 * ABANDONED).unwrap();
    open(dir.path(), 1 << 20, 1.0);
    assert_eq!(files(dir.path()), BTreeSet::from([new]));
}

#[test]
fn a_folder_that_cannot_be_had_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let folder = FeatureFolder { path: file, max_bytes: 1 };
    assert!(FeatureCache::open(folder, |_, _| encoded(1.0)).is_err());
}
