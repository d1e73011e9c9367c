import java.io.*;
import java.nio.file.*;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.*;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.*;
import org.apache.kafka.streams.state.*;

/**
 * Numbers are counted by word, in all and in windows, by two instances of a Streams application with standbys, of which one
 * is killed again and again. Each count says which number it is of: of exactly one each, without a gap.
 */
public class StreamsNumbers {
  static final int WORDS = 40;

  public static void main(String[] args) throws Exception {
    String guarantee = args[0];
    if (args.length > 1) {
      runInstance(guarantee, args[1]);
      return;
    }
    String servers = System.getenv("BROKER");
    Properties p = new Properties();
    p.put("bootstrap.servers", servers);
    try (Admin admin = Admin.create(p)) {
      admin.createTopics(List.of("numbers", "counts", "windowed").stream().map(t -> new NewTopic(t, 3, (short) 1)).toList()).all().get();
    }
    AtomicBoolean stop = new AtomicBoolean();
    Thread stopper = new Thread(() -> { try { System.in.read(); } catch (IOException e) { } stop.set(true); });
    stopper.setDaemon(true);
    stopper.start();
    Thread producing = new Thread(() -> produce(servers, stop));
    producing.start();
    Thread instances = new Thread(() -> instances(guarantee, stop));
    instances.setDaemon(true);
    instances.start();
    consume(servers, guarantee);
  }

  static Topology counting() {
    StreamsBuilder builder = new StreamsBuilder();
    // Value: the number. Its word becomes the key, so that the records go through a topic that shares them out anew.
    KGroupedStream<String, String> byWord = builder
      .stream("numbers", Consumed.with(Serdes.String(), Serdes.String()))
      .selectKey((key, n) -> "word" + Integer.parseInt(n) % WORDS)
      .groupByKey(Grouped.with("words", Serdes.String(), Serdes.String()));
    byWord
      .aggregate(() -> "0:", StreamsNumbers::next, Materialized.<String, String, KeyValueStore<Bytes, byte[]>>as("counts").withKeySerde(Serdes.String()).withValueSerde(Serdes.String()))
      .toStream()
      .to("counts", Produced.with(Serdes.String(), Serdes.String()));
    byWord
      .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofSeconds(5), Duration.ofHours(1)))
      .aggregate(() -> "0:", StreamsNumbers::next, Materialized.<String, String, WindowStore<Bytes, byte[]>>as("windows").withKeySerde(Serdes.String()).withValueSerde(Serdes.String()))
      .toStream((windowed, count) -> windowed.key() + "@" + windowed.window().start())
      .to("windowed", Produced.with(Serdes.String(), Serdes.String()));
    return builder.build();
  }

  static String next(String word, String n, String before) {
    return (Integer.parseInt(before.substring(0, before.indexOf(':'))) + 1) + ":" + n;
  }

  static void runInstance(String guarantee, String name) throws Exception {
    Properties p = new Properties();
    p.put("bootstrap.servers", System.getenv("BROKER"));
    p.put("application.id", "words");
    p.put("client.id", name);
    p.put("processing.guarantee", guarantee);
    p.put("num.standby.replicas", "1");
    p.put("num.stream.threads", "1");
    p.put("state.dir", Paths.get("state-" + name).toAbsolutePath().toString());
    p.put("statestore.cache.max.bytes", "0");
    p.put("commit.interval.ms", "200");
    p.put("probing.rebalance.interval.ms", "60000");
    p.put("main.consumer.auto.offset.reset", "earliest");
    p.put("session.timeout.ms", "6000");
    p.put("heartbeat.interval.ms", "500");
    KafkaStreams streams = new KafkaStreams(counting(), p);
    streams.setUncaughtExceptionHandler(error -> {
      error.printStackTrace();
      return StreamThreadExceptionResponse.REPLACE_THREAD;
    });
    streams.start();
    // A byte asks it to leave; the end of its input is that of whom it belongs to.
    if (System.in.read() == -1) Runtime.getRuntime().halt(1);
    streams.close(Duration.ofSeconds(20));
  }

  /** The first one stays, the second one is killed, and once asked to leave. */
  static void instances(String guarantee, AtomicBoolean stop) {
    try {
      Process first = spawn(guarantee, "first");
      for (int round = 0; ; round++) {
        Process second = spawn(guarantee, "second");
        Thread.sleep(12_000);
        if (stop.get()) continue;
        if (round % 2 == 0) second.destroyForcibly();
        else {
          second.getOutputStream().write('\n');
          second.getOutputStream().flush();
        }
        second.waitFor();
      }
    } catch (Exception e) {
      e.printStackTrace();
    }
  }

  static Process spawn(String... args) throws IOException {
    List<String> command = new ArrayList<>(List.of("java", "-Xmx256M", "-cp", System.getProperty("java.class.path"), "StreamsNumbers"));
    command.addAll(List.of(args));
    Process child = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.appendTo(new File("instance-" + args[1] + ".log"))).start();
    return child;
  }

  static void produce(String servers, AtomicBoolean stop) {
    Properties p = new Properties();
    p.put("bootstrap.servers", servers);
    p.put("delivery.timeout.ms", "600000");
    try (KafkaProducer<String, String> producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer())) {
      for (int n = 0; !stop.get(); n++) {
        int number = n;
        say("try " + n);
        producer.send(new ProducerRecord<>("numbers", "k" + n, String.valueOf(n)), (told, error) -> {
          if (error == null) say("confirm " + number);
          else error.printStackTrace();
        });
        Thread.sleep(5);
      }
    } catch (InterruptedException e) {
      throw new RuntimeException(e);
    }
  }

  static synchronized void say(String line) {
    System.out.println(line);
  }

  static void consume(String servers, String guarantee) {
    Properties p = new Properties();
    p.put("bootstrap.servers", servers);
    p.put("isolation.level", "read_committed");
    p.put("group.id", "reader");
    p.put("auto.offset.reset", "earliest");
    p.put("enable.auto.commit", "false");
    Map<String, Integer> counts = new HashMap<>();
    Map<String, Integer> numbers = new HashMap<>();
    try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer())) {
      List<TopicPartition> all = new ArrayList<>();
      for (String topic : List.of("counts", "windowed")) for (int i = 0; i < 3; i++) all.add(new TopicPartition(topic, i));
      consumer.assign(all);
      while (true) {
        for (var record : consumer.poll(Duration.ofMillis(200))) {
          String[] parts = record.value().split(":");
          int count = Integer.parseInt(parts[0]), n = Integer.parseInt(parts[1]);
          int before = counts.getOrDefault(record.key(), 0);
          if (guarantee.equals("exactly_once_v2") && count != before + 1) {
            System.err.println("count of " + record.key() + " is " + count + " after " + before + " at " + record.topic() + "-" + record.partition() + "@" + record.offset());
            say("receive -1");
          }
          counts.put(record.key(), count);
          // One that was counted in both has come through.
          String topic = record.topic();
          int times = numbers.merge(topic + n, 1, Integer::sum);
          if (topic.equals("windowed") ? numbers.containsKey("counts" + n) && times <= numbers.get("counts" + n) : times <= numbers.getOrDefault("windowed" + n, 0)) say("receive " + n);
        }
      }
    }
  }
}
