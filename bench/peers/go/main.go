// The Go client's side of the client benchmark: gohbase on the same rows as every other peer.
//
//	peer rows  N                                  build the rows and throw them away
//	peer write QUORUM TABLE N WORKERS BATCH       SendBatch of BATCH rows by WORKERS goroutines
//	peer scan  QUORUM TABLE                       the whole table with Scanner.Next
//	peer scan2 QUORUM TABLE                       the whole table with ScannerV2.Next
//
// The recipe of the rows and the digest are those of bench/src/client/{rows,digest}.rs; the benchmark checks that all agree.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"strconv"
	"sync"

	"github.com/tsuna/gohbase"
	"github.com/tsuna/gohbase/hrpc"
)

const (
	family      = "m"
	rooms       = 20_000
	accounts    = 200_000
	firstID     = uint64(1) << 52
	firstMillis = uint64(1_760_000_000_000)
	poolBytes   = 1 << 20
	bodyMin     = 120
	bodySpread  = 161
	golden      = uint64(0x9E3779B97F4A7C15)
	answerBytes = 2 << 20
	answerRows  = 5000
)

// mix is the output function of splitmix64.
func mix(n uint64) uint64 {
	z := n + golden
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// rowMaker makes row number n from n alone.
type rowMaker struct{ text []byte }

func newRowMaker() rowMaker {
	text := make([]byte, poolBytes+bodyMin+bodySpread)
	for i := range text {
		if random := mix(uint64(i)); random%8 == 0 {
			text[i] = ' '
		} else {
			text[i] = 'a' + byte((random>>8)%26)
		}
	}
	return rowMaker{text}
}

func number(value uint64) []byte { return binary.BigEndian.AppendUint64(nil, value) }

func (m rowMaker) row(n uint64) (key []byte, version uint64, columns map[string][]byte) {
	random := mix(n)
	room := mix(random%rooms) >> 32
	key = make([]byte, 17)
	key[0] = byte(mix(room) >> 60)
	binary.BigEndian.PutUint64(key[1:], room)
	binary.BigEndian.PutUint64(key[9:], ^(firstID + n))
	version = firstMillis + n
	start := int(random>>40) % poolBytes
	body := m.text[start : start+bodyMin+int((random>>17)%bodySpread)]
	return key, version, map[string][]byte{
		"account": number(1 + (random>>5)%accounts), "body": append([]byte(nil), body...), "deleted": {0},
		"sent_at": number(version), "type": []byte("posted"), "version": number(version),
	}
}

// digest adds up a hash of every cell: the order of the rows does not matter, their bytes do.
type digest struct{ rows, cells, sum uint64 }

func absorb(hash uint64, bytes []byte) uint64 {
	hash = (hash ^ uint64(len(bytes))) * golden
	for ; len(bytes) >= 8; bytes = bytes[8:] {
		hash = bits.RotateLeft64((hash^binary.LittleEndian.Uint64(bytes))*golden, 29)
	}
	if len(bytes) > 0 {
		var last uint64
		for i, b := range bytes {
			last |= uint64(b) << (8 * i)
		}
		hash = bits.RotateLeft64((hash^last)*golden, 29)
	}
	return hash
}

func (d *digest) add(row, qualifier []byte, timestamp uint64, value []byte) {
	hash := absorb(absorb(0, row), qualifier)
	hash = absorb(bits.RotateLeft64((hash^timestamp)*golden, 29), value)
	d.cells++
	d.sum += hash
}

func write(quorum, table string, count uint64, workers, batch int) error {
	client := gohbase.NewClient(quorum)
	defer client.Close()
	maker := newRowMaker()
	failures := make([]error, workers)
	var running sync.WaitGroup
	for worker := range workers {
		from, to := count*uint64(worker)/uint64(workers), count*uint64(worker+1)/uint64(workers)
		running.Add(1)
		go func() {
			defer running.Done()
			failures[worker] = writeRange(client, maker, table, from, to, batch)
		}()
	}
	running.Wait()
	return errors.Join(failures...)
}

func writeRange(client gohbase.Client, maker rowMaker, table string, from, to uint64, batch int) error {
	calls := make([]hrpc.Call, 0, batch)
	send := func() error {
		results, ok := client.SendBatch(context.Background(), calls)
		if !ok {
			for _, result := range results {
				if result.Error != nil {
					return result.Error
				}
			}
		}
		calls = calls[:0]
		return nil
	}
	for n := from; n < to; n++ {
		key, version, columns := maker.row(n)
		put, err := hrpc.NewPut(context.Background(), []byte(table), key,
			map[string]map[string][]byte{family: columns}, hrpc.TimestampUint64(version))
		if err != nil {
			return err
		}
		if calls = append(calls, put); len(calls) == batch {
			if err := send(); err != nil {
				return err
			}
		}
	}
	return send()
}

func scan(quorum, table string, read func(gohbase.Client, *hrpc.Scan, *digest) error) error {
	client := gohbase.NewClient(quorum)
	defer client.Close()
	request, err := hrpc.NewScan(context.Background(), []byte(table),
		hrpc.MaxResultSize(answerBytes), hrpc.NumberOfRows(answerRows), hrpc.CacheBlocks(false))
	if err != nil {
		return err
	}
	var found digest
	if err := read(client, request, &found); err != nil {
		return err
	}
	fmt.Printf("rows=%d cells=%d digest=%016x\n", found.rows, found.cells, found.sum)
	return nil
}

func readRows(client gohbase.Client, request *hrpc.Scan, found *digest) error {
	scanner := client.Scan(request)
	for {
		result, err := scanner.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		found.rows++
		for _, cell := range result.Cells {
			found.add(cell.Row, cell.Qualifier, *cell.Timestamp, cell.Value)
		}
	}
}

func readAnswers(client gohbase.Client, request *hrpc.Scan, found *digest) error {
	scanner := client.ScanV2(request)
	for {
		answer, err := scanner.Next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		for _, result := range answer.Results {
			if !result.Partial {
				found.rows++
			}
			for _, cell := range result.Cells {
				found.add(cell.Row(), cell.Qualifier(), cell.Timestamp(), cell.Value())
			}
		}
	}
}

func run(args []string) error {
	numbers := make([]int, len(args))
	for i, arg := range args {
		numbers[i], _ = strconv.Atoi(arg)
	}
	switch {
	case len(args) == 2 && args[0] == "rows":
		maker, cells := newRowMaker(), 0
		for n := range uint64(numbers[1]) {
			_, _, columns := maker.row(n)
			cells += len(columns)
		}
		fmt.Printf("rows=%d cells=%d\n", numbers[1], cells)
		return nil
	case len(args) == 6 && args[0] == "write":
		return write(args[1], args[2], uint64(numbers[3]), numbers[4], numbers[5])
	case len(args) == 3 && args[0] == "scan":
		return scan(args[1], args[2], readRows)
	case len(args) == 3 && args[0] == "scan2":
		return scan(args[1], args[2], readAnswers)
	}
	return fmt.Errorf("not understood: %q", args)
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
