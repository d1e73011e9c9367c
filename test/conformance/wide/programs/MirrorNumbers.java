import java.nio.file.*;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.connect.mirror.MirrorMaker;

/**
 * MirrorMaker copies a topic to the broker that is killed, with the place of a group that reads it at its source. That place
 * and the configs of the topic are another number, END, which is there once the group could go on at the target where it
 * stopped.
 */
public class MirrorNumbers {
  static final int END = 1_000_000_000;
  static final String GROUP = "readers";
  static final Map<String, String> CONFIGS =
    Map.of("cleanup.policy", "compact", "segment.bytes", "104857600", "delete.retention.ms", "3600000");
  static final List<TopicPartition> PARTITIONS = List.of(new TopicPartition("numbers", 0), new TopicPartition("numbers", 1));

  public static void main(String[] args) throws Exception {
    String source = args[0], target = System.getenv("BROKER");
    try (Admin admin = Admin.create(common(source))) {
      NewTopic topic = new NewTopic("numbers", 2, (short) 1);
      topic.configs(CONFIGS);
      admin.createTopics(List.of(topic)).all().get();
    }
    Path config = Paths.get("mirror.properties");
    Files.write(config, List.of(
      "clusters=source,target",
      "source.bootstrap.servers=" + source,
      "target.bootstrap.servers=" + target,
      "source->target.enabled=true",
      "target->source.enabled=false",
      "topics=numbers",
      "groups=" + GROUP,
      "replication.factor=1",
      "checkpoints.topic.replication.factor=1",
      "heartbeats.topic.replication.factor=1",
      "offset-syncs.topic.replication.factor=1",
      "offset.storage.replication.factor=1",
      "status.storage.replication.factor=1",
      "config.storage.replication.factor=1",
      "sync.group.offsets.enabled=true",
      "sync.group.offsets.interval.seconds=1",
      "emit.checkpoints.interval.seconds=1",
      "refresh.topics.interval.seconds=2",
      "refresh.groups.interval.seconds=2",
      "sync.topic.configs.interval.seconds=2",
      "offset.lag.max=0",
      "offset.flush.interval.ms=500",
      "target.scheduled.rebalance.max.delay.ms=2000"
    ));
    AtomicBoolean stop = new AtomicBoolean();
    daemon(() -> {
      System.in.read();
      stop.set(true);
    });
    daemon(() -> MirrorMaker.main(new String[] {config.toString()}));
    daemon(() -> produce(source, stop));
    daemon(() -> read(source));
    daemon(() -> copied(target));
    follow(source, target, stop);
  }

  static void produce(String source, AtomicBoolean stop) throws Exception {
    try (var producer = new KafkaProducer<>(common(source), new StringSerializer(), new StringSerializer())) {
      for (int n = 0; !stop.get(); n++) {
        int number = n;
        say("try " + n);
        producer.send(new ProducerRecord<>("numbers", "k" + n, String.valueOf(n)), (told, error) -> {
          if (error == null) say("confirm " + number);
          else error.printStackTrace();
        });
        Thread.sleep(5);
      }
    }
  }

  /** The group whose place is copied. */
  static void read(String source) {
    Properties p = common(source);
    p.put("group.id", GROUP);
    p.put("auto.offset.reset", "earliest");
    try (var consumer = new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer())) {
      consumer.subscribe(List.of("numbers"));
      while (true) consumer.poll(Duration.ofMillis(200));
    }
  }

  static void copied(String target) {
    Properties p = common(target);
    p.put("group.id", "copied");
    p.put("auto.offset.reset", "earliest");
    try (var consumer = new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer())) {
      consumer.subscribe(List.of("source.numbers"));
      while (true) for (var record : consumer.poll(Duration.ofMillis(200))) say("receive " + record.value());
    }
  }

  /** Where the group is at the target: never beyond what it has read at the source, and in the end there. */
  static void follow(String source, String target, AtomicBoolean stop) throws Exception {
    Properties p = common(target);
    p.put("auto.offset.reset", "none");
    try (
      Admin here = Admin.create(common(source));
      Admin there = Admin.create(common(target));
      var copy = new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
      var original = new KafkaConsumer<>(common(source), new StringDeserializer(), new StringDeserializer())
    ) {
      boolean told = false;
      while (true) {
        Thread.sleep(500);
        try {
          int atEnd = 0;
          for (TopicPartition partition : PARTITIONS) {
            TopicPartition mirrored = new TopicPartition("source." + partition.topic(), partition.partition());
            OffsetAndMetadata place = there.listConsumerGroupOffsets(GROUP).partitionsToOffsetAndMetadata().get().get(mirrored);
            OffsetAndMetadata read = here.listConsumerGroupOffsets(GROUP).partitionsToOffsetAndMetadata().get().get(partition);
            if (place == null || read == null) continue;
            if (!told) say("job the place of a group is at the target");
            told = true;
            String next = at(copy, mirrored, place.offset()), unread = at(original, partition, read.offset());
            if (next == null && unread == null) atEnd++;
            if (unread != null && next != null && Integer.parseInt(next) > Integer.parseInt(unread)) {
              System.err.println(mirrored + " is at " + next + " and was read to " + unread + " alone");
              say("receive -1");
            }
          }
          if (stop.get()) {
            say("try " + END);
            say("confirm " + END);
            if (atEnd == PARTITIONS.size() && hasConfigs(there)) say("receive " + END);
          }
        } catch (Exception e) {
          // The target is gone for a while.
        }
      }
    }
  }

  static boolean hasConfigs(Admin there) throws Exception {
    ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, "source.numbers");
    Config found = there.describeConfigs(List.of(topic)).all().get().get(topic);
    return CONFIGS.entrySet().stream().allMatch(each -> found.get(each.getKey()).value().equals(each.getValue()));
  }

  /** @return the value of the first record from the offset on, null at the end */
  static String at(KafkaConsumer<String, String> consumer, TopicPartition partition, long offset) {
    consumer.assign(List.of(partition));
    consumer.seek(partition, offset);
    if (offset >= consumer.endOffsets(List.of(partition)).get(partition)) return null;
    for (int i = 0; i < 50; i++)
      for (var record : consumer.poll(Duration.ofMillis(200))) return record.value();
    throw new IllegalStateException("no record at " + partition + "@" + offset);
  }

  static Properties common(String servers) {
    Properties p = new Properties();
    p.put("bootstrap.servers", servers);
    p.put("delivery.timeout.ms", "600000");
    p.put("max.poll.records", "100");
    p.put("auto.commit.interval.ms", "200");
    return p;
  }

  interface Work {
    void run() throws Exception;
  }

  static void daemon(Work work) {
    Thread thread = new Thread(() -> {
      try {
        work.run();
      } catch (Exception e) {
        e.printStackTrace();
      }
    });
    thread.setDaemon(true);
    thread.start();
  }

  static synchronized void say(String line) {
    System.out.println(line);
  }
}
