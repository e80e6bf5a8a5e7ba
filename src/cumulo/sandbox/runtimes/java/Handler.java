package cumulo.runtime;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.nio.charset.StandardCharsets;

/**
 * The function: `package.Class::method`, or `package.Class` that implements RequestHandler or RequestStreamHandler.
 *
 * <p>Those interfaces come with the function's own jars, so they are known here by their names alone.
 */
final class Handler {
    private static final String AWS = "com.amazonaws.services.lambda.runtime.";
    private static final String DEFAULT_METHOD = "handleRequest";

    private final Object object;
    private final Method method;
    private final Type[] parameters;

    private Handler(Object object, Method method, Type[] parameters) {
        this.object = object;
        this.method = method;
        this.parameters = parameters;
    }

    static Handler find(String name) throws Throwable {
        String className = name;
        String methodName = DEFAULT_METHOD;
        int colons = name.indexOf("::");
        if (colons >= 0) {
            className = name.substring(0, colons);
            methodName = name.substring(colons + 2);
        }
        Class<?> type;
        try {
            type = Class.forName(className);
        } catch (ClassNotFoundException missing) {
            throw new Failures.BadHandler(missing.getClass().getName(), "Class not found: " + className);
        }
        Type asHandler = implemented(type, type, AWS + "RequestHandler");
        if (colons < 0 && asHandler == null && implemented(type, type, AWS + "RequestStreamHandler") == null) {
            throw new Failures.BadHandler(
                    "java.lang.ClassCastException",
                    "Class " + className + " does not implement an appropriate handler interface");
        }
        Method method = choose(type, methodName);
        if (method == null) {
            throw new Failures.BadHandler(
                    "java.lang.NoSuchMethodException",
                    "No public method named " + methodName + " with appropriate method signature found on " + type);
        }
        method.setAccessible(true);
        Object object = Modifier.isStatic(method.getModifiers()) ? null : instance(type);
        return new Handler(object, method, parameters(method, asHandler));
    }

    private static Object instance(Class<?> type) throws Throwable {
        try {
            return type.getConstructor().newInstance();
        } catch (NoSuchMethodException missing) {
            throw new Failures.BadHandler(
                    "java.lang.NoSuchMethodException", "Class " + type.getName() + " has no public zero-argument constructor");
        } catch (InvocationTargetException thrown) {
            throw thrown.getCause();
        }
    }

    /** The interface of this name as `type` implements it, with its type arguments where they are known. */
    private static Type implemented(Type type, Type owner, String wanted) {
        Class<?> raw = Mapper.rawClass(type);
        if (raw.getName().equals(wanted)) {
            return type;
        }
        for (Type parent : raw.getGenericInterfaces()) {
            Type found = implemented(resolved(parent, type), owner, wanted);
            if (found != null) {
                return found;
            }
        }
        Type parent = raw.getGenericSuperclass();
        return parent == null ? null : implemented(resolved(parent, type), owner, wanted);
    }

    /** A parent with the child's type arguments put in for its variables. */
    private static Type resolved(final Type parent, Type child) {
        if (!(parent instanceof ParameterizedType)) {
            return parent;
        }
        final Type[] arguments = ((ParameterizedType) parent).getActualTypeArguments();
        for (int i = 0; i < arguments.length; i++) {
            arguments[i] = Mapper.bound(arguments[i], child);
        }
        return new ParameterizedType() {
            @Override
            public Type[] getActualTypeArguments() {
                return arguments;
            }

            @Override
            public Type getRawType() {
                return ((ParameterizedType) parent).getRawType();
            }

            @Override
            public Type getOwnerType() {
                return null;
            }
        };
    }

    /** The method with the most parameters that can be given; the compiler's own bridges are the last choice. */
    private static Method choose(Class<?> type, String name) {
        Method best = null;
        for (Method method : type.getMethods()) {
            if (!method.getName().equals(name) || !fits(method)) {
                continue;
            }
            boolean better = best == null
                    || (best.isBridge() && !method.isBridge())
                    || (best.isBridge() == method.isBridge() && method.getParameterCount() > best.getParameterCount());
            if (better) {
                best = method;
            }
        }
        return best;
    }

    private static boolean fits(Method method) {
        Class<?>[] types = method.getParameterTypes();
        int count = types.length;
        if (count > 0 && isContext(types[count - 1])) {
            count--;
        }
        return count <= 1 || (count == 2 && types[0] == InputStream.class && types[1] == OutputStream.class);
    }

    private static boolean isContext(Class<?> type) {
        return type.getName().equals(AWS + "Context");
    }

    private static Type[] parameters(Method method, Type asHandler) {
        Type[] types = method.getGenericParameterTypes();
        boolean generic = asHandler instanceof ParameterizedType && method.getName().equals(DEFAULT_METHOD);
        if (generic && types.length == 2 && Mapper.rawClass(types[0]) == Object.class) {
            types[0] = ((ParameterizedType) asHandler).getActualTypeArguments()[0];
        }
        return types;
    }

    /** Call the function with an invocation; its answer as JSON. */
    byte[] handle(RuntimeApi.Answer invocation) throws Throwable {
        ByteArrayOutputStream written = null;
        Object[] arguments = new Object[parameters.length];
        for (int i = 0; i < arguments.length; i++) {
            Class<?> type = Mapper.rawClass(parameters[i]);
            if (isContext(type)) {
                arguments[i] = Context.of(type, invocation);
            } else if (type == InputStream.class) {
                arguments[i] = new ByteArrayInputStream(invocation.body);
            } else if (type == OutputStream.class) {
                written = new ByteArrayOutputStream();
                arguments[i] = written;
            } else {
                Object event = Json.read(new String(invocation.body, StandardCharsets.UTF_8));
                arguments[i] = Mapper.toType(event, parameters[i]);
            }
        }
        Object result;
        try {
            result = method.invoke(object, arguments);
        } catch (InvocationTargetException thrown) {
            throw thrown.getCause();
        }
        if (written != null) {
            return written.toByteArray();
        }
        return Json.write(Plain.of(result)).getBytes(StandardCharsets.UTF_8);
    }
}
