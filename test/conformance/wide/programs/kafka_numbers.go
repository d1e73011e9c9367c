// Produces numbers and consumes them in a group whose third member comes and goes, over franz-go, which sends again and
// reconnects by itself, and rebalances cooperatively unless it is told otherwise.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const topic = "numbers"

func client(options ...kgo.Opt) *kgo.Client {
	always := []kgo.Opt{
		kgo.SeedBrokers(os.Args[1]),
		kgo.AllowAutoTopicCreation(),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
		kgo.MetadataMinAge(100 * time.Millisecond),
	}
	made, err := kgo.NewClient(append(always, options...)...)
	if err != nil {
		panic(err)
	}
	return made
}

func consume(until context.Context) {
	reader := client(
		kgo.ConsumerGroup("readers"),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.AutoCommitInterval(100*time.Millisecond),
	)
	defer reader.Close()
	for until.Err() == nil {
		reader.PollFetches(until).EachRecord(func(record *kgo.Record) {
			fmt.Printf("receive %s\n", record.Value)
		})
	}
}

func main() {
	var stop atomic.Bool
	go func() {
		bufio.NewReader(os.Stdin).ReadString('\n')
		stop.Store(true)
	}()
	for range 2 {
		go consume(context.Background())
	}
	// A third member that comes and goes.
	go func() {
		for !stop.Load() {
			time.Sleep(1500 * time.Millisecond)
			until, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			consume(until)
			cancel()
		}
	}()
	writer := client(kgo.ProducerLinger(0))
	for next := 1; !stop.Load(); next++ {
		fmt.Printf("try %d\n", next)
		record := &kgo.Record{Topic: topic, Value: []byte(strconv.Itoa(next))}
		if err := writer.ProduceSync(context.Background(), record).FirstErr(); err == nil {
			fmt.Printf("confirm %d\n", next)
		}
		time.Sleep(2 * time.Millisecond)
	}
	select {}
}
