import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.*;

/** Kafka's own share consumer (KIP-932): two members, accept, release, reject, renew, and what is left. */
public class ShareNumbers {
  static final int COUNT = 2_000;

  public static void main(String[] args) throws Exception {
    String servers = args[0];
    Properties p = new Properties();
    p.put("bootstrap.servers", servers);
    try (Admin admin = Admin.create(p)) {
      admin.createTopics(List.of(new NewTopic("shared", 3, (short) 1))).all().get();
      ConfigResource group = new ConfigResource(ConfigResource.Type.GROUP, "workers");
      admin.incrementalAlterConfigs(Map.of(group, List.of(
        new AlterConfigOp(new ConfigEntry("share.auto.offset.reset", "earliest"), AlterConfigOp.OpType.SET)))).all().get();
      Properties pp = new Properties();
      pp.putAll(p);
      pp.put("compression.type", "gzip");
      try (KafkaProducer<String, String> producer = new KafkaProducer<>(pp, new StringSerializer(), new StringSerializer())) {
        for (int n = 0; n < COUNT; n++) producer.send(new ProducerRecord<>("shared", "k" + n, String.valueOf(n)));
      }
      Map<Integer, Integer> deliveries = new HashMap<>();
      Set<Integer> accepted = new HashSet<>();
      int[] tally = new int[4];
      List<KafkaShareConsumer<String, String>> members = new ArrayList<>();
      for (int i = 0; i < 2; i++) {
        Properties c = new Properties();
        c.putAll(p);
        c.put("group.id", "workers");
        c.put("share.acknowledgement.mode", "explicit");
        c.put("client.id", "member-" + i);
        KafkaShareConsumer<String, String> consumer = new KafkaShareConsumer<>(c, new StringDeserializer(), new StringDeserializer());
        consumer.subscribe(List.of("shared"));
        members.add(consumer);
      }
      int[] of = new int[2];
      long end = System.currentTimeMillis() + 60_000;
      boolean[] renewed = new boolean[1];
      while (accepted.size() + tally[2] < COUNT && System.currentTimeMillis() < end) {
        for (int i = 0; i < 2; i++) {
          KafkaShareConsumer<String, String> consumer = members.get(i);
          for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
            int n = Integer.parseInt(record.value());
            if (!record.key().equals("k" + n)) throw new Error("key of " + n);
            int times = deliveries.merge(n, 1, Integer::sum);
            if (record.deliveryCount().orElse((short) -1) != times) throw new Error(n + ": count " + record.deliveryCount() + ", seen " + times);
            of[i]++;
            if (n % 100 == 7) { consumer.acknowledge(record, AcknowledgeType.REJECT); tally[2]++; }
            else if (n % 10 == 3 && times == 1) { consumer.acknowledge(record, AcknowledgeType.RELEASE); tally[1]++; }
            else { consumer.acknowledge(record, AcknowledgeType.ACCEPT); accepted.add(n); }
          }
          Map<?, Optional<org.apache.kafka.common.KafkaException>> done = new HashMap<>(consumer.commitSync());
          for (Optional<?> error : done.values()) if (error.isPresent()) throw new Error("commit: " + error.get());
        }
      }
      System.out.println("accepted " + accepted.size() + " released " + tally[1] + " rejected " + tally[2] + " by member " + of[0] + "/" + of[1]);
      for (KafkaShareConsumer<?, ?> consumer : members) consumer.close();
      ShareGroupDescription d = admin.describeShareGroups(List.of("workers")).all().get().get("workers");
      System.out.println("group " + d.groupState() + " members " + d.members().size());
      System.out.println("groups " + admin.listGroups().all().get());
      if (accepted.size() + tally[2] != COUNT) throw new Error("missing " + (COUNT - accepted.size() - tally[2]));
    }
    System.out.println("ok");
  }
}
