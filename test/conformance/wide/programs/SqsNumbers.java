import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.sns.SnsClient;
import software.amazon.awssdk.services.sqs.SqsAsyncClient;
import software.amazon.awssdk.services.sqs.SqsClient;
import software.amazon.awssdk.services.sqs.batchmanager.SqsAsyncBatchManager;
import software.amazon.awssdk.services.sqs.model.Message;
import software.amazon.awssdk.services.sqs.model.MessageAttributeValue;
import software.amazon.awssdk.services.sqs.model.QueueAttributeName;
import software.amazon.awssdk.services.sqs.model.SendMessageResponse;

/** Sends numbers through the batch manager of Amazon's SDK and receives and deletes them through another. */
public class SqsNumbers {
  private static final int AT_ONCE = 10;
  private static volatile boolean stop = false;

  public static void main(String[] args) throws Exception {
    URI endpoint = URI.create(System.getenv("BROKER"));
    StaticCredentialsProvider test = StaticCredentialsProvider.create(AwsBasicCredentials.create("test", "test"));
    SqsClient sqs =
      SqsClient.builder().endpointOverride(endpoint).region(Region.US_EAST_1).credentialsProvider(test).build();
    SnsClient sns =
      SnsClient.builder().endpointOverride(endpoint).region(Region.US_EAST_1).credentialsProvider(test).build();
    SqsAsyncClient async =
      SqsAsyncClient.builder().endpointOverride(endpoint).region(Region.US_EAST_1).credentialsProvider(test).build();
    topic(sqs, sns);
    fifo(sqs);
    System.out.println("job a topic gave a message raw to a queue, its attributes as sent; a group kept its order");
    Map<QueueAttributeName, String> visible = Map.of(QueueAttributeName.VISIBILITY_TIMEOUT, "2");
    String url = sqs.createQueue(r -> r.queueName("numbers").attributes(visible)).queueUrl();
    Thread receiver = new Thread(() -> receive(async.batchManager(), url));
    receiver.setDaemon(true);
    receiver.start();
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
    SqsAsyncBatchManager manager = async.batchManager();
    for (int next = 1; !stop; next += AT_ONCE) {
      List<CompletableFuture<SendMessageResponse>> answers = new ArrayList<>();
      for (int i = 0; i < AT_ONCE; i++) {
        String body = String.valueOf(next + i);
        System.out.println("try " + body);
        answers.add(manager.sendMessage(r -> r.queueUrl(url).messageBody(body)));
      }
      for (int i = 0; i < AT_ONCE; i++) {
        try {
          answers.get(i).get(20, TimeUnit.SECONDS);
          System.out.println("confirm " + (next + i));
        } catch (Exception e) {
          // Not known.
          Thread.sleep(50);
        }
      }
    }
    Thread.currentThread().join();
  }

  private static void receive(SqsAsyncBatchManager manager, String url) {
    while (true) {
      try {
        for (Message message : manager.receiveMessage(r -> r.queueUrl(url)).get(30, TimeUnit.SECONDS).messages()) {
          System.out.println("receive " + message.body());
          manager.deleteMessage(r -> r.queueUrl(url).receiptHandle(message.receiptHandle()));
        }
      } catch (Exception e) {
        // It asks again.
      }
    }
  }

  private static void topic(SqsClient sqs, SnsClient sns) {
    String url = sqs.createQueue(r -> r.queueName("news")).queueUrl();
    String queue = sqs.getQueueAttributes(r -> r.queueUrl(url).attributeNames(QueueAttributeName.QUEUE_ARN))
      .attributes().get(QueueAttributeName.QUEUE_ARN);
    String topic = sns.createTopic(r -> r.name("news")).topicArn();
    Map<String, String> raw = Map.of("RawMessageDelivery", "true");
    sns.subscribe(r -> r.topicArn(topic).protocol("sqs").endpoint(queue).attributes(raw));
    SdkBytes bytes = SdkBytes.fromByteArray(new byte[] {0, 1, (byte) 255});
    sns.publish(r -> r.topicArn(topic).message("häß €").messageAttributes(Map.of("b",
      software.amazon.awssdk.services.sns.model.MessageAttributeValue.builder()
        .dataType("Binary").binaryValue(bytes).build())));
    // The SDK compares the MD5 of the body and of the attributes by itself.
    Message message = sqs.receiveMessage(r -> r.queueUrl(url).waitTimeSeconds(10).messageAttributeNames("All"))
      .messages().get(0);
    MessageAttributeValue attribute = message.messageAttributes().get("b");
    check(message.body().equals("häß €") && attribute.binaryValue().equals(bytes), message.toString());
  }

  private static void fifo(SqsClient sqs) {
    Map<QueueAttributeName, String> attributes =
      Map.of(QueueAttributeName.FIFO_QUEUE, "true", QueueAttributeName.CONTENT_BASED_DEDUPLICATION, "true");
    String url = sqs.createQueue(r -> r.queueName("ordered.fifo").attributes(attributes)).queueUrl();
    for (String body : List.of("1", "1", "2", "3"))
      sqs.sendMessage(r -> r.queueUrl(url).messageGroupId("group").messageBody(body));
    List<String> bodies = sqs.receiveMessage(r -> r.queueUrl(url).maxNumberOfMessages(10).waitTimeSeconds(10))
      .messages().stream().map(Message::body).toList();
    check(bodies.equals(List.of("1", "2", "3")), bodies.toString());
  }

  private static void check(boolean ok, String what) {
    if (!ok) throw new AssertionError(what);
  }
}
