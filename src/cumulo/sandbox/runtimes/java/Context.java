package cumulo.runtime;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/** The context object, and what it leads to, as the function's own copy of AWS's interfaces has them. */
final class Context implements InvocationHandler {
    private final Map<String, Object> values;
    private final long deadline;

    private Context(Map<String, Object> values, long deadline) {
        this.values = values;
        this.deadline = deadline;
    }

    static Object of(Class<?> type, RuntimeApi.Answer invocation) {
        Map<String, Object> values = new HashMap<String, Object>();
        values.put("getAwsRequestId", invocation.header("lambda-runtime-aws-request-id"));
        values.put("getInvokedFunctionArn", invocation.header("lambda-runtime-invoked-function-arn"));
        values.put("getTenantId", invocation.header("lambda-runtime-aws-tenant-id"));
        values.put("getXrayTraceId", invocation.header("lambda-runtime-trace-id"));
        values.put("getFunctionName", System.getenv("AWS_LAMBDA_FUNCTION_NAME"));
        values.put("getFunctionVersion", System.getenv("AWS_LAMBDA_FUNCTION_VERSION"));
        values.put("getLogGroupName", System.getenv("AWS_LAMBDA_LOG_GROUP_NAME"));
        values.put("getLogStreamName", System.getenv("AWS_LAMBDA_LOG_STREAM_NAME"));
        values.put("getMemoryLimitInMB", Integer.valueOf(System.getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")));
        values.put("getIdentity", plain(invocation.header("lambda-runtime-cognito-identity")));
        values.put("getClientContext", plain(invocation.header("lambda-runtime-client-context")));
        return proxy(type, new Context(values, Long.parseLong(invocation.header("lambda-runtime-deadline-ms"))));
    }

    private static Object plain(String header) {
        return header == null || header.isEmpty() ? null : Json.read(header);
    }

    private static Object proxy(Class<?> type, InvocationHandler handler) {
        return Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, handler);
    }

    @Override
    public Object invoke(Object self, Method method, Object[] arguments) {
        String name = method.getName();
        if (method.getDeclaringClass() == Object.class) {
            return ofObject(self, name, arguments);
        }
        if (name.equals("getRemainingTimeInMillis")) {
            return (int) (deadline - System.currentTimeMillis());
        }
        if (name.equals("getLogger")) {
            return proxy(method.getReturnType(), new Logger());
        }
        Object value = values.get(name);
        if (value instanceof Map && method.getReturnType().isInterface()) {
            return proxy(method.getReturnType(), new Part((Map<?, ?>) value));
        }
        return value;
    }

    private static Object ofObject(Object self, String name, Object[] arguments) {
        if (name.equals("equals")) {
            return self == arguments[0];
        }
        return name.equals("hashCode") ? (Object) System.identityHashCode(self) : "lambda context";
    }

    /** LambdaLogger: what is logged goes to standard output as it is. */
    private static final class Logger implements InvocationHandler {
        @Override
        public Object invoke(Object self, Method method, Object[] arguments) {
            if (method.getDeclaringClass() == Object.class) {
                return ofObject(self, method.getName(), arguments);
            }
            byte[] bytes = arguments[0] instanceof byte[]
                    ? (byte[]) arguments[0]
                    : String.valueOf(arguments[0]).getBytes(StandardCharsets.UTF_8);
            System.out.write(bytes, 0, bytes.length);
            System.out.flush();
            return null;
        }
    }

    /** ClientContext, Client and CognitoIdentity: getters over JSON, whose names are those of the mobile SDKs. */
    private static final class Part implements InvocationHandler {
        private final Map<?, ?> values;

        Part(Map<?, ?> values) {
            this.values = values;
        }

        @Override
        public Object invoke(Object self, Method method, Object[] arguments) {
            if (method.getDeclaringClass() == Object.class) {
                return ofObject(self, method.getName(), arguments);
            }
            String wanted = method.getName().substring(3);
            for (Map.Entry<?, ?> entry : values.entrySet()) {
                String name = entry.getKey().toString().replace("_", "");
                boolean same = name.equalsIgnoreCase(wanted)
                        || name.equalsIgnoreCase("cognito" + wanted)
                        || (wanted.equals("Environment") && name.equals("env"));
                if (same) {
                    boolean nested = entry.getValue() instanceof Map && method.getReturnType() != Map.class;
                    return nested
                            ? proxy(method.getReturnType(), new Part((Map<?, ?>) entry.getValue()))
                            : entry.getValue();
                }
            }
            return null;
        }
    }
}
