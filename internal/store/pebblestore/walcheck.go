package pebblestore

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"math/bits"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"liked"
)

// A crash may cut the write-ahead log and the manifest short, and pebble takes whatever it cannot read in the last of
// each for such an end. It would drop what follows a flipped bit without a word, and the tables with it that the manifest
// no longer names. But a record that comes later, and was written when the unreadable one was on the disk, proves that
// it is no end. So these files are looked at before pebble opens the directory.
//
// Both are blocks of 32 KiB of chunks that do not cross them: a masked CRC-32C of all behind the length, a length without
// the header, a kind. Kinds 1 to 4 are of the manifest; 9 to 12, of the write-ahead log, have the number of the log and
// the offset up to which it was on the disk as well.
const (
	chunkBlock     = 32 << 10
	manifestHeader = 7
	walHeader      = 19
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func masked(b []byte) uint32 {
	return bits.RotateLeft32(crc32.Checksum(b, castagnoli), 17) + 0xa282ead8
}

// chunkAt reads the chunk at an offset. synced is how much of the file was on the disk when it was written, if it says so.
func chunkAt(file []byte, at int, log uint32, header int) (end int, synced uint64, ok bool) {
	room := min(len(file), (at/chunkBlock+1)*chunkBlock) - at
	if room < header {
		return 0, 0, false
	}
	b := file[at : at+room]
	size, kind := header+int(binary.LittleEndian.Uint16(b[4:])), b[6]
	if header == manifestHeader && (kind < 1 || kind > 4) || size > room {
		return 0, 0, false
	}
	if header == walHeader && (kind < 9 || kind > 12 || binary.LittleEndian.Uint32(b[7:]) != log) {
		return 0, 0, false
	}
	if masked(b[6:size]) != binary.LittleEndian.Uint32(b) {
		return 0, 0, false
	}
	if header == walHeader {
		synced = binary.LittleEndian.Uint64(b[11:])
	}
	return at + size, synced, true
}

// broken returns where the file stops making sense before its end, -1 if it does not.
func broken(file []byte, log uint32, header int) int {
	at := 0
	for at < len(file) {
		if left := chunkBlock - at%chunkBlock; left < header {
			at += left
			continue
		}
		end, _, ok := chunkAt(file, at, log, header)
		if !ok {
			break
		}
		at = end
	}
	for later := at + 1; later < len(file); later++ {
		if _, synced, ok := chunkAt(file, later, log, header); ok && (header == manifestHeader || synced > uint64(at)) {
			return at
		}
	}
	if header == manifestHeader && len(file)-at > header+8 && unlikeTorn(file[at:]) {
		return at
	}
	return -1
}

// unlikeTorn tells an unreadable last record of the manifest that was written whole from one that a crash cut short: its
// length leads to the end of the file, where no zeros stand for what is missing, or nothing but the length is wrong.
func unlikeTorn(record []byte) bool {
	whole := manifestHeader+int(binary.LittleEndian.Uint16(record[4:])) == len(record)
	return whole && binary.LittleEndian.Uint64(record[len(record)-8:]) != 0 || masked(record[6:]) == binary.LittleEndian.Uint32(record)
}

// findBroken looks at the newest write-ahead log and at the manifest of a directory that no process has open.
func findBroken(disk vfs.FS, dir string) error {
	desc, err := pebble.Peek(dir, disk)
	if err != nil || !desc.Exists {
		return nil // pebble will say what is wrong
	}
	names, err := disk.List(dir)
	if err != nil {
		return unavailable(err)
	}
	newest, wal := uint64(0), ""
	for _, name := range names {
		if n, err := strconv.ParseUint(strings.TrimSuffix(name, ".log"), 10, 64); err == nil && strings.HasSuffix(name, ".log") && n >= newest {
			newest, wal = n, disk.PathJoin(dir, name)
		}
	}
	for _, file := range []struct {
		path   string
		header int
	}{{desc.ManifestFilename, manifestHeader}, {wal, walHeader}} {
		if file.path == "" {
			continue
		}
		content, err := readFile(disk, file.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return unavailable(err)
		}
		if at := broken(content, uint32(newest), file.header); at >= 0 {
			return liked.Errorf(liked.Unavailable, "cannot open the store in %s: %s: %s is unreadable at offset %d, and goes on behind",
				dir, isDamaged, file.path, at)
		}
	}
	return nil
}

// checkLogs returns an error if pebble would lose something by opening the directory.
func checkLogs(disk vfs.FS, dir string) error {
	if findBroken(disk, dir) == nil {
		return nil
	}
	// A process may be writing there.
	lock, err := pebble.LockDirectory(dir, disk)
	if err != nil {
		return nil // pebble will say so
	}
	defer lock.Close() // nothing was written
	return findBroken(disk, dir)
}

func readFile(disk vfs.FS, path string) ([]byte, error) {
	f, err := disk.Open(path, vfs.SequentialReadsOption)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(f)
	return content, errors.Join(err, f.Close())
}
