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

// A crash may cut the write-ahead log and the manifest short, and pebble takes anything unreadable in the last of each
// for such an end. It would silently drop what follows a flipped bit, and tables that the manifest no longer names. But
// a later record, written when the unreadable one was on disk, proves that it is no end. So these files are checked
// before pebble opens them.
//
// Both are 32 KiB blocks of chunks that do not cross them: a masked CRC-32C of all after the length, a length without
// the header, a kind. Kinds 1 to 4 are the manifest's; 9 to 12, the write-ahead log's, add the log's number and the
// offset up to which it was on disk.
const (
	chunkBlock     = 32 << 10
	manifestHeader = 7
	walHeader      = 19
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func masked(b []byte) uint32 {
	return bits.RotateLeft32(crc32.Checksum(b, castagnoli), 17) + 0xa282ead8
}

// chunkAt reads the chunk at an offset. synced is how much of the file was on disk when it was written, if it says so.
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

// broken returns the offset of damage before the file's end, -1 if there is none.
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

// unlikeTorn reports whether a crash cannot have cut short an unreadable last record of the manifest: it ends with the
// file and not in zeros, which stand for missing bytes, or only its length is wrong.
func unlikeTorn(record []byte) bool {
	whole := manifestHeader+int(binary.LittleEndian.Uint16(record[4:])) == len(record)
	return whole && binary.LittleEndian.Uint64(record[len(record)-8:]) != 0 || masked(record[6:]) == binary.LittleEndian.Uint32(record)
}

// findBroken checks the newest write-ahead log and the manifest; only exact while no process has the directory open.
func findBroken(disk vfs.FS, dir string) error {
	desc, err := pebble.Peek(dir, disk)
	if err != nil || !desc.Exists {
		return nil // pebble will report it
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

// checkLogs returns an error if opening the directory would lose data.
func checkLogs(disk vfs.FS, dir string) error {
	if findBroken(disk, dir) == nil {
		return nil
	}
	// What looked broken may be a running process's write.
	lock, err := pebble.LockDirectory(dir, disk)
	if err != nil {
		return nil // pebble will report it
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
