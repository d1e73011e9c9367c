import io.awspring.cloud.sqs.annotation.SqsListener;
import io.awspring.cloud.sqs.config.SqsBootstrapConfiguration;
import io.awspring.cloud.sqs.config.SqsMessageListenerContainerFactory;
import io.awspring.cloud.sqs.operations.SqsTemplate;
import java.net.URI;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.messaging.handler.annotation.Header;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.sqs.SqsAsyncClient;
import software.amazon.awssdk.services.sqs.model.QueueAttributeName;

/** Spring Cloud AWS: a template sends numbers one by one, and a listener takes them. */
@Configuration
@Import(SqsBootstrapConfiguration.class)
public class SpringSqsNumbers {
  private static final BlockingQueue<String> ORDERED = new LinkedBlockingQueue<>();
  private static volatile boolean stop = false;

  @Bean
  SqsAsyncClient sqs() {
    SqsAsyncClient sqs = SqsAsyncClient.builder()
      .endpointOverride(URI.create(System.getenv("BROKER")))
      .region(Region.US_EAST_1)
      .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("test", "test")))
      .build();
    Map<QueueAttributeName, String> visible = Map.of(QueueAttributeName.VISIBILITY_TIMEOUT, "2");
    sqs.createQueue(r -> r.queueName("numbers").attributes(visible)).join();
    Map<QueueAttributeName, String> fifo = Map.of(QueueAttributeName.FIFO_QUEUE, "true");
    sqs.createQueue(r -> r.queueName("ordered.fifo").attributes(fifo)).join();
    return sqs;
  }

  @Bean
  SqsTemplate template(SqsAsyncClient sqs) {
    return SqsTemplate.newTemplate(sqs);
  }

  @Bean
  SqsMessageListenerContainerFactory<Object> defaultSqsListenerContainerFactory(SqsAsyncClient sqs) {
    return SqsMessageListenerContainerFactory.builder()
      .configure(options -> options.pollTimeout(Duration.ofSeconds(1)))
      .sqsAsyncClient(sqs)
      .build();
  }

  @SqsListener("numbers")
  void number(String body) {
    System.out.println("receive " + body);
  }

  @SqsListener("ordered.fifo")
  void ordered(String body, @Header("step") String step) {
    ORDERED.add(body + step);
  }

  public static void main(String[] args) throws Exception {
    try (AnnotationConfigApplicationContext context = new AnnotationConfigApplicationContext(SpringSqsNumbers.class)) {
      SqsTemplate template = context.getBean(SqsTemplate.class);
      for (String body : new String[] {"a", "b", "c"})
        template.send(to -> to.queue("ordered.fifo").payload(body).header("step", body).messageGroupId("group"));
      for (String body : new String[] {"aa", "bb", "cc"}) {
        String came = ORDERED.poll(20, TimeUnit.SECONDS);
        if (!body.equals(came)) throw new AssertionError(came + " came in place of " + body);
      }
      System.out.println("job a listener took a group of a FIFO queue in its order, with a header");
      Thread reader = new Thread(() -> {
        try {
          System.in.read();
        } catch (java.io.IOException e) {
          // As if it had been told.
        }
        stop = true;
      });
      reader.setDaemon(true);
      reader.start();
      for (int next = 1; !stop; next++) {
        System.out.println("try " + next);
        try {
          template.send("numbers", String.valueOf(next));
          System.out.println("confirm " + next);
        } catch (Exception e) {
          // Not known.
          Thread.sleep(50);
        }
      }
      Thread.currentThread().join();
    }
  }
}
