package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"strings"
	"unicode/utf16"
)

const sector = 2048

// isoImage is what a guest's cloud-init looks for on a CD: the volume's name, and the files in its root.
type isoImage struct {
	volume string
	files  map[string][]byte
}

// readISO reads an ISO 9660 image with Rock Ridge or Joliet names (ECMA-119, IEEE P1282, Joliet specification).
// It answers false for anything that is none.
func readISO(path string) (isoImage, bool) {
	file, err := os.Open(path)
	if err != nil {
		return isoImage{}, false
	}
	defer file.Close()
	image := isoImage{files: map[string][]byte{}}
	found := false
	for number := int64(16); number < 32; number++ {
		descriptor, err := readAt(file, number*sector, sector)
		if err != nil || string(descriptor[1:6]) != "CD001" || descriptor[0] == 255 {
			break
		}
		joliet := descriptor[0] == 2 && descriptor[88] == '%' && descriptor[89] == '/'
		if descriptor[0] != 1 && !joliet {
			continue
		}
		if descriptor[0] == 1 {
			found = true
			image.volume = strings.TrimRight(string(descriptor[40:72]), " \x00")
		}
		image.readRoot(file, descriptor[156:190], joliet)
	}
	return image, found
}

func readAt(file io.ReaderAt, offset, length int64) ([]byte, error) {
	if length < 0 || length > 64<<20 {
		return nil, io.ErrUnexpectedEOF
	}
	data := make([]byte, length)
	_, err := file.ReadAt(data, offset)
	return data, err
}

// extent is where a directory record says that its data is.
func extent(record []byte) (offset, length int64) {
	return int64(binary.LittleEndian.Uint32(record[2:])) * sector, int64(binary.LittleEndian.Uint32(record[10:]))
}

func (i *isoImage) readRoot(file io.ReaderAt, root []byte, joliet bool) {
	offset, length := extent(root)
	directory, err := readAt(file, offset, length)
	if err != nil {
		return
	}
	for at := 0; at < len(directory); {
		size := int(directory[at])
		if size == 0 { // records do not cross sectors: the rest of this one is padding
			at = (at/sector + 1) * sector
			continue
		}
		if size < 34 || at+size > len(directory) {
			return
		}
		record := directory[at : at+size]
		at += size
		if record[25]&2 != 0 { // a directory
			continue
		}
		offset, length := extent(record)
		if data, err := readAt(file, offset, length); err == nil {
			i.files[recordName(record, joliet)] = data
		}
	}
}

func recordName(record []byte, joliet bool) string {
	end := min(33+int(record[32]), len(record))
	raw := record[33:end]
	if joliet {
		units := make([]uint16, len(raw)/2)
		for i := range units {
			units[i] = binary.BigEndian.Uint16(raw[2*i:])
		}
		return plainName(string(utf16.Decode(units)))
	}
	if name := rockRidgeName(record[end:]); name != "" {
		return name
	}
	return strings.ToLower(plainName(string(raw)))
}

func plainName(name string) string {
	name, _, _ = strings.Cut(name, ";")
	return strings.TrimSuffix(name, ".")
}

// rockRidgeName finds the NM entry in a record's system use area.
func rockRidgeName(area []byte) string {
	at := bytes.Index(area, []byte("NM"))
	if at < 0 || at+5 > len(area) || at+int(area[at+2]) > len(area) || area[at+2] < 5 {
		return ""
	}
	return string(area[at+5 : at+int(area[at+2])])
}
